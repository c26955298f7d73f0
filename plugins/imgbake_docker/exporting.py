"""Images that leave the engine: as files, into the store, and to registries."""

from __future__ import annotations

import hashlib
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from imgbake.api import Artifact, BakeError, Blobs, Part, RunContext, UsageError
from imgbake_docker import engine, logins, naming
from imgbake_docker.engine import Client
from imgbake_docker.following import each
from imgbake_oci import kept as kept_images
from imgbake_oci import layouts, media_types
from imgbake_oci.compression import Format
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.docker_archive import DockerArchive
from imgbake_oci.documents import descriptor_document, encoded
from imgbake_oci.reference import parse
from imgbake_oci.scratch import unfinished

_FORMAT = Format("gzip", 1)
_PIECE = 1 << 20
_PUSHED = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: ")


def export(artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str) -> None:
    """Writes an image to a path as "docker-archive", "oci" or "oci-archive". Raises BakeError."""
    tag = str(artifact.facts["tags"][0])
    if form == "docker-archive":
        if to.is_dir():
            raise UsageError(f"{to} is a folder", hint="an archive is a file: choose another path")
        with engine.connected() as client:
            _save(client.get_image(tag), to)
        return
    with tempfile.TemporaryDirectory(dir=blobs.scratch()) as work:
        saved = Path(work) / "saved.tar"
        with engine.connected() as client:
            _save(client.get_image(tag), saved)
        image = _as_oci(saved, name, _Alone(blobs, Path(work)))  # type: ignore[arg-type]  # all of a RunContext that it needs
    write = layouts.export_folder if form == "oci" else layouts.export_archive
    write(to, image.manifest, "latest", image.blobs, blobs)


def pack(artifact: Artifact, folder: str, ctx: RunContext) -> Artifact:
    """Brings an image from the engine into a layout in a folder of the project. Raises BakeError."""
    saved = ctx.work / "saved.tar"
    with engine.connected() as client:
        _save(each(lambda: client.get_image(naming.image_id(artifact)), ctx), saved)
    return kept_images.keep([_as_oci(saved, ctx.name, ctx)], {}, folder, ctx)


def kept(client: Client, tag: str, ctx: RunContext) -> str:
    """Keeps an image in the store and returns the digest of its archive."""
    with unfinished(ctx.blobs, "docker-archive") as path:
        digest = _save(each(lambda: client.get_image(tag), ctx), path)
        return ctx.blobs.adopt(path, digest)


def load(client: Client, archive: str, ctx: RunContext) -> None:
    """Gives the engine an archive of the store, if that is still there. Raises BakeError."""
    try:
        path = ctx.blobs.path(archive)
    except KeyError:
        return
    for line in each(lambda: client.load_image(_pieces(path, ctx)), ctx):
        if "error" in line:
            raise BakeError(f"the engine can't load its own archive: {line['error']}", hint="build again")


def push(artifact: Artifact, ctx: RunContext) -> tuple[str, ...]:
    """Pushes each of the image's names, with the credentials of docker's own configuration, or issued ones.

    Returns the references with the digest that the registry gave. Raises BakeError.
    """
    with engine.connected() as client:
        return tuple(_push(client, tag, ctx) for tag in artifact.facts["tags"])


def _push(client: Client, tag: str, ctx: RunContext) -> str:
    from docker.errors import APIError

    repository, _, name = tag.rpartition(":")
    more = {"stream": True, "decode": True, "auth_config": logins.of_engine(parse(tag), ctx)}
    digest = ""
    try:
        for message in each(lambda: client.push(repository, tag=name, **more), ctx):
            if "error" in message:
                hint = logins.advice(str(message["error"]), parse(tag))
                raise BakeError(f"{tag} can't be pushed: {message['error']}", hint=hint)
            if pushed := _PUSHED.search(str(message.get("status", ""))):
                digest = pushed[1]
            detail = message.get("progressDetail") or {}
            if detail.get("total"):
                ctx.progress(detail.get("current", 0), detail["total"])
    except APIError as error:
        raise BakeError(f"{tag} can't be pushed: {error.explanation}") from None
    ctx.log(f"pushed {tag}")
    return f"{tag}@{digest}" if digest else tag


def _save(archive: Iterable[bytes], to: Path) -> str:
    """Writes what `docker save` gives, whole or not at all, and returns its digest."""
    hashed = hashlib.sha256()
    beside = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as out:
            for piece in archive:
                hashed.update(piece)
                out.write(piece)
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)
    return f"sha256:{hashed.hexdigest()}"


def _pieces(path: Path, ctx: RunContext) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            ctx.check()
            yield piece


def _as_oci(saved: Path, name: str, ctx: RunContext) -> kept_images.Image:
    """A saved image with a manifest, all of it in the store."""
    config, layers = DockerArchive(saved, "", name).fetch(_FORMAT, ctx)
    data = encoded(config.whole)
    digest = ctx.blobs.add_bytes(data)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.MANIFEST,
        "config": descriptor_document(Descriptor(media_types.CONFIG, digest, len(data))),
        "layers": [descriptor_document(layer) for layer in layers],
    }
    manifest = encoded(document)
    root = Descriptor(
        media_types.MANIFEST, ctx.blobs.add_bytes(manifest), len(manifest), platform=config.platform
    )
    return kept_images.Image(root, config.platform, layers, digest)


class _Alone:
    """What reading an archive needs of a context, where no build is going on."""

    def __init__(self, blobs: Blobs, work: Path) -> None:
        self.blobs = blobs
        self.work = work

    def memo(self, parts: Sequence[Part], make: Callable[[], Artifact], *, anew: bool = False) -> Artifact:
        """Makes it: there is nobody to remember."""
        return make()

    def check(self) -> None:
        """Nobody stops us but Ctrl-C, which Python sees to."""
