"""The destination `s3`: an OCI layout whose files are the objects of a bucket (image-layout.md).

PREFIX/oci-layout                 once
PREFIX/blobs/sha256/…             content, which never changes
PREFIX/index.json                 names, changed only as S3 still has what was read
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from imgbake.api import Artifact, BakeError, Cargo, ResolveContext, RunContext
from imgbake_copy import listing
from imgbake_copy.copier import Copier
from imgbake_copy.listing import MARKER, VERSION
from imgbake_oci.descriptor import Descriptor
from imgbake_s3.options import S3Options

if TYPE_CHECKING:  # all of HTTP and TLS, which reading a recipe doesn't need
    from imgbake_copy.content import Content
    from imgbake_s3.objects import Objects

_SCHEME = "s3://"
_ASKED_AT_ONCE = 16
_SENT_AT_ONCE = 4
_PIECE = 1 << 20
_INDEX = "index.json"
_JSON = "application/json"


class S3:
    """An OCI layout in a bucket. Images stand in it beside each other, and share blobs."""

    kind: ClassVar[str] = "s3"
    version: ClassVar[int] = 1
    accepts: ClassVar[frozenset[str]] = frozenset({"container"})

    def __init__(self, options: S3Options) -> None:
        self._options = options

    @classmethod
    def parse(cls, text: str, said: Mapping[str, Any]) -> tuple[S3Options, tuple[str, ...]] | None:
        """The place and the tag of `s3://BUCKET[/PREFIX][:TAG]`; None for anything else."""
        if not text.startswith(_SCHEME):
            return None
        path, _, tag = text.removeprefix(_SCHEME).partition(":")
        bucket, _, prefix = path.partition("/")
        try:
            options = msgspec.convert({"bucket": bucket, "prefix": prefix.rstrip("/"), **said}, S3Options)
        except msgspec.ValidationError as error:
            raise BakeError(f"{text}: {error}") from None
        return options, (tag or "latest",)

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{self._options.of(image)}:{tag}" for tag in tags)

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        from imgbake_copy.together import Together

        content = ctx.shared(Copier).content(cargo.artifact, self._options, ctx)
        objects = self._objects(self._options.of(cargo.name))
        sizes = Together(ctx.check).each(
            lambda blob: objects.size(_blob(blob.digest)), content.parts, _ASKED_AT_ONCE
        )
        if sizes != [blob.size for blob in content.parts] or objects.size(MARKER) is None:
            return None
        return None if listing.lacking(_index(objects), content) else self._made(cargo, content)

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        content = ctx.shared(Copier).content(cargo.artifact, self._options, ctx)
        objects = self._objects(self._options.of(cargo.name))
        sent, there = _Delivery(cargo.artifact, content, objects, ctx).run()

        def change(data: bytes | None) -> bytes | None:
            listed = listing.decoded(data, objects.url(_INDEX)) if data is not None else []
            added = listing.lacking(listed, content)
            return listing.encoded([*listed, *added]) if added or data is None else None

        objects.change(_INDEX, change, _JSON, ctx.check)
        return self._made(cargo, content, sent, there)

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        content = ctx.shared(Copier).content(cargo.artifact, self._options, ctx)
        objects = self._objects(self._options.of(cargo.name))
        for blob in content.parts:
            key, hashed = _blob(blob.digest), hashlib.sha256()
            with objects.asking("s3:GetObject", key) as client:
                body = client.get_object(**objects.at(key))["Body"]
                for piece in body.iter_chunks(_PIECE):
                    ctx.check()
                    hashed.update(piece)
                if f"sha256:{hashed.hexdigest()}" != blob.digest:
                    client.delete_object(**objects.at(key))
                    raise BakeError(f"{objects.url(key)} was damaged, and is removed", hint="run it again")

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        place, _, tag = pointer.rpartition(":")
        digest = listing.meaning(_index(self._objects(place)), tag)
        return f"{place}@{digest}" if digest else ""

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        place, _, tag = pointer.rpartition(":")
        objects, digest = self._objects(place), reference.rpartition("@")[2]
        manifest = objects.read(_blob(digest))
        if manifest is None:
            raise BakeError(f"{reference} is not there", hint="run it again")

        def change(data: bytes | None) -> bytes:
            listed = listing.decoded(data, pointer) if data is not None else []
            return listing.encoded(listing.tagged(listed, tag, digest, manifest.data))

        objects.change(_INDEX, change, _JSON, ctx.check)

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        place, _, tag = pointer.rpartition(":")

        def change(data: bytes | None) -> bytes | None:
            if data is None:
                return None
            return listing.encoded(listing.untagged(listing.decoded(data, pointer), tag))

        self._objects(place).change(_INDEX, change, _JSON, ctx.check)

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """Whether all content is there, and listed."""
        from imgbake_s3 import asking

        content = ctx.shared(Copier).settled(cargo.artifact, self._options, ctx)
        if content is None:
            return None
        options = self._options
        where = (options.of(cargo.name), options.region, options.profile)
        listed = listing.names(content, [each.rpartition(":")[2] for each in pointers])
        sizes = {each.digest: each.size for each in content.parts}
        return asking.are_there, asking.question(where, sizes, listed)

    def _objects(self, place: str) -> Objects:
        from imgbake_s3.objects import Objects

        return Objects(place, self._options.region, self._options.profile)

    def _made(self, cargo: Cargo, content: Content, sent: int = 0, there: int = 0) -> Artifact:
        digest = content.root.digest
        where = f"{self._options.of(cargo.name)}@{digest}"
        return Artifact("delivery", digest, where, {"sent": sent, "there": there})


class _Delivery:
    """The work of one delivery, but for what the layout lists."""

    def __init__(self, artifact: Artifact, content: Content, objects: Objects, ctx: RunContext) -> None:
        from imgbake_copy.together import Together

        self._artifact, self._content, self._objects = artifact, content, objects
        self._ctx = ctx
        self._copier = ctx.shared(Copier)
        self._together = Together(ctx.check)
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}  # bytes by blob
        self._total = 0

    def run(self) -> tuple[int, int]:
        """Brings all that is missing. Gives how many bytes were sent, and how many were there."""
        self._objects.write(MARKER, VERSION, "", _JSON)
        blobs = self._content.blobs
        lacks = self._together.each(self._lacks, blobs, _ASKED_AT_ONCE)
        absent = [blob for blob, is_absent in zip(blobs, lacks, strict=True) if is_absent]
        self._total = sum(blob.size for blob in absent)
        largest_first = sorted(absent, key=lambda blob: -blob.size)
        sent = sum(self._together.each(self._send, largest_first, _SENT_AT_ONCE))
        for document in self._content.documents:  # what they point at comes before them
            if self._lacks(document.descriptor):
                self._objects.put(_blob(document.digest), document.data, ContentType=document.media_type)
        return sent, sum(blob.size for blob in blobs) - sent

    def _lacks(self, blob: Descriptor) -> bool:
        return self._objects.size(_blob(blob.digest)) != blob.size

    def _send(self, blob: Descriptor) -> int:
        """Sends a blob. Of several deliveries to one layout, one sends it."""
        from imgbake_s3.uploading import upload

        key = _blob(blob.digest)
        with self._copier.turns.alone(self._objects.url(key), self._together.check):
            if not self._lacks(blob):
                return 0
            source = self._copier.part(self._artifact, blob, self._ctx)
            progress = partial(self._progress, blob.digest)
            return upload(self._objects, key, source, blob, self._together.check, progress)

    def _progress(self, blob: str, done: int) -> None:
        with self._lock:
            self._done[blob] = done
            so_far = sum(self._done.values())
        self._ctx.progress(so_far, self._total)


def _index(objects: Objects) -> list[Descriptor]:
    found = objects.read(_INDEX)
    return listing.decoded(found.data, objects.url(_INDEX)) if found else []


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
