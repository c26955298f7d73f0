"""What a tag or an image of a stream is: what the stream remembers. Nobody else is asked."""

from __future__ import annotations

import msgspec

from imgbake.digest import is_digest
from imgbake.engine.project import Project
from imgbake.errors import BakeError, UsageError
from imgbake.streams import names
from imgbake.streams.model import Revision, Stream, Tag

_IMPORT = "`imgbake stream import {}` looks where it points to"


class Remembered(msgspec.Struct, frozen=True):
    """An image that a stream names."""

    kind: str  # of artifact
    source: str  # where it is, without the digest
    image: str  # a digest or what else can't move; empty for a tag that is only a reference to its source
    proof: str  # a file that stays as it is while this is so; empty when there is none

    @property
    def reference(self) -> str:
        """What gets exactly this image."""
        if not self.image:
            return self.source
        return f"{self.source}@{self.image}" if is_digest(self.image) else self.image


def find(reference: str, project: Project) -> Remembered:
    """What a tag points to, or the image that is named. Raises BakeError when there is no such thing."""
    named = names.parse(reference)
    proof = project.shelf.proof(named.stream)
    if proof:
        project.watch(proof)
    try:
        stream = project.stream(named.stream)
        tag = None if named.image else _tag(named, stream)
    except UsageError:
        if not _is_declared(named, project):
            raise
        raise BakeError(f"stream:{named} was never imported", hint=_IMPORT.format(named)) from None
    if tag is not None and tag.intent is not None and tag.intent.reference:
        return Remembered(tag.intent.kind, tag.intent.source, "", proof)
    revision = _of_image(named, stream) if tag is None else _current(named, tag)
    source = _pull_reference(revision, tag, stream).removesuffix(f"@{revision.image}")
    return Remembered(stream.images[revision.image].kind, source, revision.image, proof)


def _pull_reference(revision: Revision, tag: Tag | None, stream: Stream) -> str:
    """Where users take an image from: its source, or the stream's own repository if the tag says so."""
    is_local = tag is not None and tag.intent is not None and tag.intent.policy == "local"
    if is_local and stream.repository and is_digest(revision.image):
        return f"{stream.repository}@{revision.image}"
    return revision.reference


def _is_declared(named: names.Named, project: Project) -> bool:
    """Does the recipe say where this tag comes from?"""
    declared = project.recipe.streams.get(named.stream)
    return declared is not None and (named.tag or names.LATEST) in declared.tags and not named.image


def _tag(named: names.Named, stream: Stream) -> Tag:
    tag = stream.tags.get(named.tag or names.LATEST)
    if tag is None:
        raise names.unknown_tag(named, stream)
    return tag


def _current(named: names.Named, tag: Tag) -> Revision:
    if tag.current is None:
        why = f": {tag.failure.message}" if tag.failure else ""
        raise BakeError(f"stream:{named} points to no image yet{why}", hint=_IMPORT.format(named))
    return tag.current


def _of_image(named: names.Named, stream: Stream) -> Revision:
    image = names.image(named, stream)
    return next(revision for _, revision in stream.revisions() if revision.image == image)
