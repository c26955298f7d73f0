"""The destination `layout`: an OCI layout in a folder, with room for many images (image-layout.md)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from imgbake.api import Artifact, BakeError, Cargo, ResolveContext, RunContext
from imgbake.api import digest as digests
from imgbake_copy import asking, listing
from imgbake_copy.copier import Copier
from imgbake_copy.listing import MARKER, VERSION, Listing
from imgbake_copy.options import LayoutOptions
from imgbake_oci import layouts, sources
from imgbake_oci.descriptor import Descriptor

if TYPE_CHECKING:  # all of HTTP and TLS, which reading a recipe doesn't need
    from imgbake_copy.content import Content
    from imgbake_oci.registry import FilePart

_PIECE = 1 << 20


class Layout:
    """An OCI layout in a folder. Images stand in it beside each other, and share blobs."""

    kind: ClassVar[str] = "layout"
    version: ClassVar[int] = 1
    accepts: ClassVar[frozenset[str]] = frozenset({"container"})

    def __init__(self, options: LayoutOptions) -> None:
        self._options = options

    @classmethod
    def parse(cls, text: str, said: Mapping[str, Any]) -> tuple[LayoutOptions, tuple[str, ...]] | None:
        """The folder and the tag of `oci:DIR[:TAG]`; None for anything else."""
        transport, folder, tag = sources.split(text)
        if transport != "oci":
            return None
        try:
            return msgspec.convert({"folder": folder, **said}, LayoutOptions), (tag or "latest",)
        except msgspec.ValidationError as error:
            raise BakeError(str(error)) from None

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"oci:{self._options.of(image)}:{tag}" for tag in tags)

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        folder = self._folder(cargo, ctx)
        content = ctx.shared(Copier).content(cargo.artifact, self._options, ctx)
        if not (folder / MARKER).is_file() or any(_lacks(folder, each) for each in content.parts):
            return None
        return self._delivered(cargo, content) if not listing.lacking(_index(folder), content) else None

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        copier, folder = ctx.shared(Copier), self._folder(cargo, ctx)
        content = copier.content(cargo.artifact, self._options, ctx)
        place = _ready(folder)
        absent = [each for each in content.blobs if _lacks(folder, each)]
        total, done = sum(each.size for each in absent), 0
        for blob in absent:
            progress = partial(_add_progress, ctx, done, total)
            with copier.turns.alone((str(folder), blob.digest), ctx.check):
                _write(copier.part(cargo.artifact, blob, ctx), blob, place, ctx, progress)
            done += blob.size
        for document in content.documents:
            if _lacks(folder, document.descriptor):
                _whole(place / document.digest.removeprefix("sha256:"), document.data)
        with _alone(folder):
            index = _index(folder)
            if added := listing.lacking(index, content):
                _put_index(folder, [*index, *added])
        return self._delivered(cargo, content, done, sum(each.size for each in content.blobs) - done)

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        folder = self._folder(cargo, ctx)
        content = ctx.shared(Copier).content(cargo.artifact, self._options, ctx)
        for blob in content.parts:
            ctx.check()
            if digests.of_file(layouts.blob(folder, blob.digest)) != blob.digest:
                layouts.blob(folder, blob.digest).unlink()
                raise BakeError(f"{folder}: {blob.digest} was damaged, and is removed", hint="run it again")

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        _, folder, tag = sources.split(pointer)
        digest = listing.meaning(_index(ctx.root / folder), tag)
        return _meaning(folder, digest) if digest else ""

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        _, folder, tag = sources.split(pointer)
        digest = reference.rpartition("@")[2]
        try:
            data = layouts.blob(ctx.root / folder, digest).read_bytes()
        except OSError as error:
            raise BakeError(f"{reference} is not there: {error.strerror}", hint="run it again") from None
        _change(ctx.root / folder, lambda listed: listing.tagged(listed, tag, digest, data))

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        _, folder, tag = sources.split(pointer)
        _change(ctx.root / folder, lambda listed: listing.untagged(listed, tag))

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """Whether all content is there, and listed."""
        content = ctx.shared(Copier).settled(cargo.artifact, self._options, ctx)
        if content is None:
            return None
        listed = listing.names(content, [sources.split(each)[2] for each in pointers])
        sizes = {each.digest: each.size for each in content.parts}
        return asking.are_in_layouts, asking.layout(str(self._folder(cargo, ctx)), sizes, listed)

    def _folder(self, cargo: Cargo, ctx: ResolveContext | RunContext) -> Path:
        return ctx.root / self._options.of(cargo.name)

    def _delivered(self, cargo: Cargo, content: Content, sent: int = 0, there: int = 0) -> Artifact:
        digest = content.root.digest
        where = _meaning(self._options.of(cargo.name), digest)
        return Artifact("delivery", digest, where, {"sent": sent, "there": there})


def _meaning(folder: str, digest: str) -> str:
    return f"oci:{folder}@{digest}"


def _lacks(folder: Path, blob: Descriptor) -> bool:
    try:
        return layouts.blob(folder, blob.digest).stat().st_size != blob.size
    except OSError:
        return True


def _ready(folder: Path) -> Path:
    """Makes the folder a layout, if it is none. Returns where its blobs are."""
    layouts.require_free(folder)
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER).exists():
        _whole(folder / MARKER, VERSION)
    with _alone(folder):
        if not (folder / "index.json").exists():
            _put_index(folder, [])
    return place


def _write(
    part: FilePart, blob: Descriptor, place: Path, ctx: RunContext, progress: Callable[[int], None]
) -> None:
    """Copies a blob, verified, whole or not at all."""
    name = blob.digest.removeprefix("sha256:")
    beside = place / f".{name}.{secrets.token_hex(4)}"
    hashed, at, end = hashlib.sha256(), part.start, part.start + part.size
    try:
        part.until(at, ctx.check)
        with part.path.open("rb", buffering=0) as source, beside.open("xb") as out:
            source.seek(at)
            while at < end:
                ctx.check()
                data = source.read(min(part.until(at, ctx.check) - at, _PIECE))
                if not data:
                    raise BakeError(f"{part.path}: became shorter while it was copied")
                hashed.update(data)
                out.write(data)
                at += len(data)
                progress(at - part.start)
        if f"sha256:{hashed.hexdigest()}" != blob.digest or at - part.start != blob.size:
            raise BakeError(f"{part.path}: its content is not {blob.digest}", hint="the source is damaged")
        beside.chmod(0o644)
        beside.replace(place / name)
    except OSError as error:
        raise BakeError(f"{error.filename or place}: can't be copied: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)


def _add_progress(ctx: RunContext, before: int, total: int, count: int) -> None:
    ctx.progress(before + count, total)


def _index(folder: Path) -> list[Descriptor]:
    """What the layout lists; nothing where there is none yet."""
    try:
        data = (folder / "index.json").read_bytes()
    except OSError:
        return []
    return listing.decoded(data, str(folder))


def _put_index(folder: Path, listed: Listing) -> None:
    _whole(folder / "index.json", listing.encoded(listed))


def _change(folder: Path, change: Callable[[Listing], Listing]) -> None:
    with _alone(folder):
        _put_index(folder, change(_index(folder)))


def _whole(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.write_bytes(data)
    beside.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other threads and processes from changing the index until the block ends."""
    file = os.open(folder / MARKER, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
