"""What a base is: what a plugin resolves it to, or, of a stream's tag or image, what the stream remembers.

A stream is to a base what imgbake.lock is: it says which digest is meant, and the plugin that resolves
the source is told so. The source itself is not asked.
"""

from __future__ import annotations

from msgspec.structs import replace

from imgbake.contract import Resolved
from imgbake.digest import is_digest
from imgbake.engine.context import Looking
from imgbake.engine.project import Project
from imgbake.errors import BakeError, UsageError
from imgbake.streams import names
from imgbake.streams.model import Revision, Stream, Tag

_IMPORT = "`imgbake stream import {}` looks where it points to"


def is_remembered(reference: str) -> bool:
    """Is it a stream that says what this base is?"""
    return reference.startswith(names.PREFIX)


def resolve(kind: str, reference: str, project: Project, ctx: Looking) -> Resolved:
    """Pins a base to a digest. Raises BakeError when it isn't there."""
    if not is_remembered(reference):
        return project.plugins.resolve(kind, reference, ctx)
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
        return project.plugins.resolve(kind, tag.intent.source, ctx)
    revision = _of_image(named, stream) if tag is None else _current(named, tag)
    found = stream.images[revision.image].kind
    if found != kind:
        raise BakeError(f"{reference} is of the kind '{found}', and a '{kind}' is needed")
    source = pull_reference(revision, tag, stream).removesuffix(f"@{revision.image}")
    resolved = project.plugins.resolve(kind, source, ctx.pinned_to(revision.image))
    artifact = replace(resolved.artifact, digest=revision.image)
    return Resolved(artifact, (proof,) if proof else (), volatile=not proof)


def pull_reference(revision: Revision, tag: Tag | None, stream: Stream) -> str:
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
