"""The destination `registry`: a repository, or a place below which each image has one.

A recipe that names one is read far more often than anything is sent: what speaks HTTP is imported then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from imgbake.api import Artifact, BakeError, Cargo, ResolveContext, RunContext
from imgbake_copy import asking
from imgbake_copy.copier import Copier
from imgbake_copy.options import RegistryOptions
from imgbake_oci import sources
from imgbake_oci.reference import Reference, parse, parse_tag

_CANT_DELETE = (400, 403, 405, 501)


class Registry:
    """A repository of a container registry. Blobs are sent once, in parallel, and only where they lack."""

    kind: ClassVar[str] = "registry"
    version: ClassVar[int] = 1
    accepts: ClassVar[frozenset[str]] = frozenset({"container"})

    def __init__(self, options: RegistryOptions) -> None:
        self._options = options

    @classmethod
    def parse(cls, text: str, said: Mapping[str, Any]) -> tuple[RegistryOptions, tuple[str, ...]] | None:
        """The repository and the tag of a reference; None for what is in files."""
        if not sources.is_remote(text) or ("://" in text and not text.startswith("docker://")):
            return None
        reference = parse_tag(text)
        document = {"repository": reference.name, **said}
        try:
            return msgspec.convert(document, RegistryOptions), (reference.tag,)
        except msgspec.ValidationError as error:
            raise BakeError(str(error)) from None

    def pointers(self, image: str, tags: Sequence[str]) -> tuple[str, ...]:
        repository = self._options.of(image)
        return tuple(str(repository.tagged(tag)) for tag in tags)

    def find(self, cargo: Cargo, ctx: ResolveContext) -> Artifact | None:
        from imgbake_copy.uploading import missing, untagged

        copier, target = ctx.shared(Copier), self._target(cargo)
        content = copier.content(cargo.artifact, self._options, ctx)
        if missing(copier, target, content, ctx.check) or untagged(copier, target, content, ctx.check):
            return None
        return _delivered(target, content.root.digest)

    def deliver(self, cargo: Cargo, ctx: RunContext) -> Artifact:
        from imgbake_copy.uploading import Upload

        copier, target = ctx.shared(Copier), self._target(cargo)
        content = copier.content(cargo.artifact, self._options, ctx)
        upload = Upload(copier, cargo.artifact, content, target, ctx)
        upload.run()
        return _delivered(target, content.root.digest, upload.sent, upload.there)

    def verify(self, cargo: Cargo, delivered: Artifact, ctx: RunContext) -> None:
        from imgbake_oci.registry import Watch

        copier, target = ctx.shared(Copier), self._target(cargo)
        content = copier.content(cargo.artifact, self._options, ctx)
        for document in content.documents:
            copier.client.manifest(
                target, document.digest, Watch(ctx.check)
            )  # compares digests, as `blob` does
        with tempfile.TemporaryDirectory(dir=ctx.work) as folder:
            for blob in content.blobs:
                path = Path(folder) / "blob"
                copier.client.blob(target, blob, path, Watch(ctx.check, ctx.progress))
                path.unlink()

    def current(self, pointer: str, ctx: ResolveContext) -> str:
        from imgbake_oci.registry import Watch

        reference = parse(pointer)
        found = ctx.shared(Copier).client.current(reference, Watch(ctx.check), pushes=True)
        return _meaning(reference, found.digest) if found else ""

    def publish(self, pointer: str, reference: str, ctx: RunContext) -> None:
        """Reads the manifest there, so that no tag can mean what is not there, and puts it under the tag."""
        from imgbake_oci.registry import Watch

        client, watch = ctx.shared(Copier).client, Watch(ctx.check)
        media_type, data = client.manifest(parse(reference), "", watch)
        target = parse(pointer)
        client.put_manifest(target, target.tag, media_type, data, watch)

    def withdraw(self, pointer: str, ctx: RunContext) -> None:
        from imgbake_oci.registry import RegistryError, Watch

        try:
            ctx.shared(Copier).client.delete_tag(parse(pointer), Watch(ctx.check))
        except RegistryError as error:
            if error.status not in _CANT_DELETE:
                raise
            message = f"{pointer} was new, and this registry doesn't remove tags"
            raise BakeError(message, hint="remove it by the registry's own means, or let it be") from None

    def question(
        self, cargo: Cargo, delivered: Artifact, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> tuple[Callable[[Sequence[str]], Sequence[bool]], str] | None:
        """Whether all manifests are there, and tags mean what they should: one request for each."""
        means = self.means(cargo, pointers, ctx)
        if means is None:
            return None
        return asking.are_in_registries, asking.registry(self._target(cargo).name, means)

    def means(
        self, cargo: Cargo, pointers: Sequence[str], ctx: ResolveContext | RunContext
    ) -> dict[str, str] | None:
        """What digests and tags of the repository mean when all is there; None when that may be more any
        time."""
        content = ctx.shared(Copier).settled(cargo.artifact, self._options, ctx)
        if content is None:
            return None
        means = {each.digest: each.digest for each in content.documents}
        return means | content.tags | {parse(each).tag: content.root.digest for each in pointers}

    def _target(self, cargo: Cargo) -> Reference:
        found = self._options.of(cargo.name)
        return Reference(found.registry, found.repository)


def _delivered(target: Reference, digest: str, sent: int = 0, there: int = 0) -> Artifact:
    return Artifact("delivery", digest, _meaning(target, digest), {"sent": sent, "there": there})


def _meaning(reference: Reference, digest: str) -> str:
    return f"{reference.name}@{digest}"
