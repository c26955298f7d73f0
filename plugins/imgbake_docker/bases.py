"""Bases on the engine: pulled by digest, loaded from files, or baked there before."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, RunContext
from imgbake_docker import logins
from imgbake_docker.engine import Client
from imgbake_docker.following import each
from imgbake_docker.naming import SCRATCH, base_name, image_id, is_baked
from imgbake_oci import bases, sources, ustar
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.descriptor import platform as parsed
from imgbake_oci.documents import encoded
from imgbake_oci.reference import Reference, parse

_FORMAT = Format("gzip", 1)
_PIECE = 1 << 20


def ready(client: Client, blueprint: Blueprint, platform: str, ctx: RunContext) -> dict[str, Any]:
    """Sees to it that the engine has the base, by the name that the Dockerfile uses.

    Returns what the engine says of it, nothing for scratch. Raises BakeError.
    """
    base = blueprint.base
    if base.reference == SCRATCH:
        return {}
    name = base_name(blueprint)
    if is_baked(base):
        found: dict[str, Any] | None = client.image(image_id(base))
        if found is None:
            raise BakeError(f"the engine has lost {base.reference}", hint="build again")
        client.tag(found["Id"], *name.split(":"))
    elif sources.is_remote(base.reference):
        found = _of_registry(client, base, platform, ctx)
    else:
        found = client.image(name)
        if found is None or not _is_for(found, platform):
            _load(client, base, name, platform, ctx)
            found = client.image(name)
    if found is None:
        raise BakeError(f"the engine took {base.reference}, and does not have it as {name}")
    return found


def release(client: Client, blueprint: Blueprint) -> None:
    """Takes back the name that an image of the recipe had as a base; what was loaded keeps it."""
    if is_baked(blueprint.base):
        client.untag(base_name(blueprint))


def _of_registry(client: Client, base: Artifact, platform: str, ctx: RunContext) -> dict[str, Any] | None:
    """What the engine says of an image of a registry, which is pulled unless it is there.

    By the digest of an index, an engine may hold the image for one platform only. So for a platform that is
    asked for, or if it holds the image for another than its own, it goes by the digest of its own manifest.
    """
    if not platform:
        found = _held(client, base, base.digest, "", ctx)
        platform = client.platform()
        if found is None or _is_for(found, platform):
            return found
        if bases.digest_for(base, parsed(platform), ctx) == base.digest:
            return found  # it is there for that other platform alone
    return _held(client, base, bases.digest_for(base, parsed(platform), ctx), platform, ctx)


def _held(
    client: Client, base: Artifact, digest: str, platform: str, ctx: RunContext
) -> dict[str, Any] | None:
    """What the engine says of a base by this digest of it, which is pulled unless it is there."""
    name = parse(base.reference).pinned(digest).familiar
    found: dict[str, Any] | None = client.image(name)
    if found is None or not _is_for(found, platform):
        pull(client, base.reference, digest, platform, ctx)
        found = client.image(name)
    return found


def _is_for(found: dict[str, Any], platform: str) -> bool:
    if not platform:
        return True
    wanted = parsed(platform)
    return (found.get("Os"), found.get("Architecture")) == (wanted.os, wanted.architecture)


def pull(client: Client, reference: str, digest: str, platform: str, ctx: RunContext) -> None:
    """Pulls by digest, with credentials of docker's own configuration or issued ones. Raises BakeError."""
    from docker.errors import APIError

    named = parse(reference)
    repository = msgspec.structs.replace(named, tag="", digest="").familiar
    auth = logins.of_engine(named, ctx)
    ctx.log(f"-- pull {named.familiar}")

    def messages() -> Any:
        more = {"stream": True, "decode": True, "platform": platform or None, "auth_config": auth}
        return client.pull(repository, tag=digest, **more)

    try:
        for message in each(messages, ctx):
            if "error" in message:
                raise _unpulled(named, message["error"])
            detail = message.get("progressDetail") or {}
            if "total" in detail:
                ctx.progress(detail.get("current", 0), detail["total"])
    except APIError as error:
        raise _unpulled(named, error.explanation) from None


def _unpulled(named: Reference, reason: object) -> BakeError:
    hint = logins.advice(str(reason), named)
    return BakeError(f"the engine can't pull {named.familiar}: {reason}", hint=hint)


@contextlib.contextmanager
def named(client: Client, base: Artifact, name: str, platform: str, ctx: RunContext) -> Iterator[None]:
    """Gives an image of the recipe a name on the engine while the block runs. Raises BakeError."""
    if not is_baked(base):
        _load(client, base, name, platform, ctx)
    elif client.image(image_id(base)) is None:
        raise BakeError(f"the engine has lost {base.reference}", hint="build again")
    else:
        client.tag(image_id(base), *name.split(":"))
    try:
        yield
    finally:
        client.untag(name)


def _load(client: Client, said: Artifact, name: str, platform: str, ctx: RunContext) -> None:
    """Loads a layout or an archive, whose layers go through the store."""
    base = bases.fetch(said, parsed(platform) if platform else None, _FORMAT, ctx)
    ctx.log(f"-- load {said.reference}")
    for line in each(lambda: client.load_image(_archive(base, name, ctx)), ctx):
        if "error" in line:
            hint = "an older engine can't read zstd layers" if "tar" in str(line["error"]) else ""
            raise BakeError(f"the engine can't load {said.reference}: {line['error']}", hint=hint)


def _archive(base: Base, name: str, ctx: RunContext) -> Iterator[bytes]:
    """A docker archive, piece by piece."""
    headers = ustar.Headers(0)
    config = encoded(base.config.whole if base.config else {})
    layers = [f"{layer.digest.removeprefix('sha256:')}.tar" for layer in base.layers]
    listing = [{"Config": "config.json", "RepoTags": [name], "Layers": layers}]
    for file, data in (("config.json", config), ("manifest.json", json.dumps(listing).encode())):
        yield (
            headers.header(file.encode(), ustar.FILE, 0o644, 0, 0, len(data))
            + data
            + ustar.padding(len(data))
        )
    sent, total = 0, sum(layer.size for layer in base.layers)
    for file, layer in dict(zip(layers, base.layers, strict=True)).items():
        path = ctx.blobs.path(layer.digest)
        size = path.stat().st_size
        yield headers.header(file.encode(), ustar.FILE, 0o644, 0, 0, size)
        with path.open("rb") as content:
            while piece := content.read(_PIECE):
                ctx.check()
                yield piece
                sent += len(piece)
                ctx.progress(sent, total)
        yield ustar.padding(size)
    yield ustar.END
