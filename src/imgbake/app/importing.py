"""Importing: where do the sources of tags point to now? Tags that moved move; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from imgbake.digest import is_digest
from imgbake.engine.context import Looking
from imgbake.engine.graph import Base, Node
from imgbake.engine.project import Project
from imgbake.errors import BakeError, Interrupted, PluginError, UsageError, did_you_mean
from imgbake.model import At
from imgbake.streams import changes, names, shelving
from imgbake.streams.changes import Pointed
from imgbake.streams.clock import now
from imgbake.streams.model import Failure, Intent, Known, Revision, Stream

_AT_ONCE = 8  # sources that are asked at the same time
_NOWHERE = At("", ())


class Wanted(msgspec.Struct, frozen=True):
    """A tag that is to be imported, and what was meant by it when that was decided."""

    stream: str
    tag: str
    intent: Intent
    generation: int
    reason: str = ""  # which is kept with the image

    def __str__(self) -> str:
        return f"{self.stream}:{self.tag}"


class Imported(msgspec.Struct, frozen=True):
    """What became of an import.

    `result`: "moved", "same", "failed", or "dropped" when meanwhile somebody held the tag or meant it
    otherwise.
    """

    tag: str  # NAME:TAG
    result: str
    image: str = ""
    before: str = ""
    error: str = ""
    hint: str = ""


def importable(name: str, stream: Stream) -> Iterable[Wanted]:
    """All tags of a stream that have something to import, but those that are held."""
    for tag, entry in stream.tags.items():
        if entry.intent is not None and entry.intent.is_imported and entry.hold is None:
            yield Wanted(name, tag, entry.intent, entry.generation)


def import_tags(
    project: Project, wanted: Sequence[Wanted], wait_for: Callable[[Intent], None] = lambda intent: None
) -> list[Imported]:
    """Imports tags: their sources are asked side by side, and each stream is written once.

    `wait_for` is called before a source is asked, and returns when it may be.
    """
    by_stream: dict[str, list[Wanted]] = {}
    for each in wanted:
        by_stream.setdefault(each.stream, []).append(each)
    streams = {name: shelving.load(project.shelf, name) for name in by_stream}

    def ask(each: Wanted) -> Pointed | Failure:
        wait_for(each.intent)
        return _looked_up(each, streams[each.stream], project)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(map(str, wanted), pool.map(ask, wanted), strict=True))
    imported: list[Imported] = []
    for name, own in by_stream.items():
        imported += _commit(project, name, {each.tag: (each, found[str(each)]) for each in own})
    return imported


def _looked_up(wanted: Wanted, stream: Stream | None, project: Project) -> Pointed | Failure:
    """Where a source points to now, or why that can't be known."""
    try:
        project.check()
        if wanted.intent.source.startswith(names.PREFIX):
            return _of_stream(wanted.intent, project)
        return _of_source(wanted.intent, stream, project, wanted.reason)
    except (Interrupted, PluginError):
        raise
    except BakeError as error:
        message = project.secrets.mask(error.placed)
        return Failure(message, now(), wanted.generation, project.secrets.mask(error.hint))
    except OSError as error:
        return Failure(f"{error.strerror or error}", now(), wanted.generation)


def _of_stream(intent: Intent, project: Project) -> Pointed:
    named = names.parse(intent.source)
    return pointed_by(named, shelving.existing(project.shelf, named.stream), "import")


def pointed_by(named: names.Named, stream: Stream, cause: str, reason: str = "") -> Pointed:
    """The image that a tag points to, or that is named, for another tag to point to. Raises BakeError."""
    if named.image:
        image = names.image(named, stream)
        revision = next(each for _, each in stream.revisions() if each.image == image)
    else:
        tag = stream.tags.get(named.tag or names.LATEST)
        if tag is None:
            raise names.unknown_tag(named, stream)
        if tag.current is None:
            message = f"'{named}' points to no image yet, so nothing can be tagged from it"
            raise BakeError(message, hint=f"`imgbake stream import {named}`")
        revision = tag.current
    new = Revision(revision.image, revision.reference, now(), cause=cause, reason=reason)
    return Pointed(new, stream.images[revision.image])


def _of_source(intent: Intent, stream: Stream | None, project: Project, reason: str) -> Pointed:
    node = Node(f"base:{intent.source}", "base", _NOWHERE, Base(intent.kind, intent.source))
    ctx = Looking(project, node).pinned_to(None)
    artifact = project.plugins.resolve(intent.kind, intent.source, ctx).artifact
    image = artifact.digest
    if not image:
        raise BakeError(f"{intent.source} is no image that a tag could point to")
    known = stream.images.get(image) if stream else None
    if known is None or intent.platform:
        known = Known(intent.kind, {**artifact.facts, **project.plugins.base_facts(artifact, ctx)})
    if intent.platform:
        image, known = _for_platform(intent, image, known)
    reference = f"{intent.source.removesuffix(f'@{image}')}@{image}" if is_digest(image) else image
    return Pointed(Revision(image, reference, now(), cause="import", reason=reason), known)


def _for_platform(intent: Intent, image: str, known: Known) -> tuple[str, Known]:
    platforms: Any = known.facts.get("platforms", ())
    if intent.platform not in platforms:
        hint = did_you_mean(intent.platform, platforms) or "it tells of no platforms"
        raise BakeError(f"{intent.source} has no image for {intent.platform}", hint=hint)
    if not isinstance(platforms, Mapping):
        return image, known
    return str(platforms[intent.platform]), Known(known.kind, {"platforms": [intent.platform]})


def _commit(
    project: Project, name: str, found: Mapping[str, tuple[Wanted, Pointed | Failure]]
) -> list[Imported]:
    """Writes what was found, but of tags that are meant otherwise by now, or held."""

    def as_found(stream: Stream | None) -> Stream | None:
        if stream is None:
            return None
        good: dict[str, Pointed] = {}
        bad: dict[str, Failure] = {}
        for tag, (wanted, result) in found.items():
            entry = stream.tags.get(tag)
            if entry is None or entry.intent != wanted.intent or entry.hold is not None:
                continue
            if isinstance(result, Pointed):
                good[tag] = result
            else:
                bad[tag] = result
        return changes.fail(changes.point(stream, good) if good else stream, bad)

    changed = shelving.change(project.shelf, name, as_found)
    return [_outcome(wanted, result, changed) for wanted, result in found.values()]


def _outcome(wanted: Wanted, result: Pointed | Failure, changed: shelving.Changed) -> Imported:
    found = told(str(wanted), changed)
    if isinstance(result, Failure):
        return Imported(found.tag, "failed", found.before, found.before, result.message, result.hint)
    if found.image != result.revision.image:
        return Imported(found.tag, "dropped", found.before, found.before)
    return found


def told(name: str, changed: shelving.Changed) -> Imported:
    """What became of a tag, NAME:TAG, by a change of its stream."""
    tag = names.parse(name).tag
    found = (stream.tags.get(tag) if stream else None for stream in (changed.before, changed.after))
    before, after = (each.current.image if each and each.current else "" for each in found)
    return Imported(name, "same" if before == after else "moved", after, before)


def asked_for(project: Project, texts: Sequence[str], *, every: bool) -> list[Wanted]:
    """The tags that a command line names: NAME:TAG, NAME for its `latest`, or with `every` for all of it.

    Raises UsageError for what can't be imported.
    """
    if every and not texts:
        texts = list(project.shelf.names())
    wanted: dict[str, Wanted] = {}
    for text in texts:
        named = names.parse(text)
        stream = shelving.existing(project.shelf, named.stream)
        if every:
            if named.tag:
                raise UsageError(f"--all and the tag '{text}' don't go together", hint="leave one out")
            wanted.update({str(each): each for each in importable(named.stream, stream)})
        else:
            each = _asked_for(named, stream)
            wanted[str(each)] = each
    return list(wanted.values())


def _asked_for(named: names.Named, stream: Stream) -> Wanted:
    if named.image:
        raise UsageError(f"'{named}' is an image, which never changes", hint="`imgbake stream tag` tags it")
    tag = named.tag or names.LATEST
    entry = stream.tags.get(tag)
    if entry is None:
        raise names.unknown_tag(names.Named(named.stream, tag), stream)
    name = f"{named.stream}:{tag}"
    if entry.hold is not None:
        hint = f"`imgbake stream release {name}` lets it move again"
        raise UsageError(f"'{name}' is held, so nothing is imported", hint=hint)
    intent = entry.intent
    if intent is None or not intent.is_imported:
        why = "nothing says where it comes from"
        if intent and intent.alias:
            why = f"it follows '{intent.alias}'"
        elif intent and intent.reference:
            why = "it is only a reference"
        elif intent and intent.source:
            why = f"it points to what is baked of {intent.source.partition(':')[2]}"
        hint = f"`imgbake stream tag SOURCE {name}` gives it a source"
        raise UsageError(f"'{name}' can't be imported: {why}", hint=hint)
    return Wanted(named.stream, tag, intent, entry.generation)
