"""`imgbake stream tag`: says what tags are meant to point to, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from imgbake.app.importing import Imported, Wanted, import_tags, pointed_by
from imgbake.app.opening import Request
from imgbake.app.syncing import opened
from imgbake.contract import Shelf
from imgbake.engine.project import Project
from imgbake.errors import UsageError, did_you_mean
from imgbake.recipe.duration import seconds
from imgbake.streams import changes, cron, names, shelving
from imgbake.streams.changes import Pointed
from imgbake.streams.clock import now
from imgbake.streams.model import CONTAINER, Intent, Stream

REGISTRY, TAG, IMAGE = "registry", "tag", "image"


class Tagging(msgspec.Struct, frozen=True):
    """What to tag as what. `intent` holds all that is said besides the source."""

    source: str
    destinations: tuple[str, ...]
    kind: str = ""  # of source: "registry", "tag", "image"; found out when empty
    alias: bool = False
    intent: Intent = Intent()
    reason: str = ""
    is_import: bool = False  # which changes no source that a tag has


class Tagged(msgspec.Struct, frozen=True):
    """What a tag is meant to point to now; and what came of its import, if there was one."""

    tag: str
    source: str
    is_alias: bool = False
    is_scheduled: bool = False
    imported: Imported | None = None


def tag(wanted: Tagging, request: Request, warn: Callable[[str], None]) -> list[Tagged]:
    """Tags a source. Raises UsageError for what doesn't go together."""
    _check(wanted.intent)
    if wanted.reason and (wanted.alias or wanted.intent.reference):
        hint = "leave it out"
        raise UsageError("--reason is kept with the image of a tag, and there is none to keep", hint=hint)
    with opened(request, warn) as project:
        destinations = [names.parse_tag(text) for text in wanted.destinations]
        kind = wanted.kind or _kind_of(wanted.source, project)
        if kind == REGISTRY:
            return _from_registry(wanted, destinations, project)
        named = _named(wanted, project.shelf)
        if kind == IMAGE and not named.image:
            raise UsageError(f"'{wanted.source}' names no image", hint="write NAME@DIGEST")
        if wanted.intent.is_scheduled or wanted.intent.reference or wanted.intent.platform:
            hint = "a tag of a stream is copied as it is; --alias follows it"
            raise UsageError("only a registry's image can be imported again, or be a reference", hint=hint)
        if not named.image:
            named = names.parse_tag(wanted.source)
        follow = _follow if wanted.alias else _copy
        return [follow(wanted, named, destination, project.shelf) for destination in destinations]


def _named(wanted: Tagging, shelf: Shelf) -> names.Named:
    """The tag or image of a stream that the source names. Raises UsageError when there is no such stream."""
    named = names.parse(wanted.source)
    is_guessed = not wanted.kind and not wanted.source.startswith(names.PREFIX)
    if is_guessed and shelf.load(named.stream) is None:
        hint = "an image of a registry has its host in front, or --source registry"
        near = did_you_mean(named.stream, shelf.names())
        hint = f"{near}; {hint}" if near else hint
        raise UsageError(f"there is no stream '{named.stream}'", hint=hint)
    return named


def _check(intent: Intent) -> None:
    if intent.every and intent.cron:
        raise UsageError("--every and --cron don't go together", hint="leave one out")
    if intent.every and not seconds(intent.every):
        raise UsageError(f"--every can't be '{intent.every}'", hint='write "15m", "24h" or "90s"')
    if intent.is_scheduled and intent.reference:
        raise UsageError("a reference is never imported, so it has no schedule", hint="leave one out")
    if intent.cron:
        try:
            cron.parse(intent.cron)
        except ValueError as error:
            raise UsageError(f"--cron '{intent.cron}' is no time: {error}") from None


def _kind_of(source: str, project: Project) -> str:
    """What a source is when nobody says so: as `oc tag` finds it out, by what it looks like."""
    if source.startswith(names.PREFIX):
        return IMAGE if "@" in source else TAG
    before, colon, _ = source.partition(":")
    if "/" in source or (colon and before in project.plugins.base_kinds()):
        return REGISTRY
    if "@" in source:
        return IMAGE
    return TAG if colon else REGISTRY


def _from_registry(wanted: Tagging, destinations: list[names.Named], project: Project) -> list[Tagged]:
    if wanted.alias:
        hint = "leave --alias out; --every imports it again and again"
        raise UsageError("--alias follows a tag of the same stream, not a registry", hint=hint)
    before, colon, rest = wanted.source.partition(":")
    is_kind = colon and before in project.plugins.base_kinds()
    source, kind = (rest, before) if is_kind else (wanted.source, CONTAINER)
    intent = replace(wanted.intent, source=source, kind=kind)
    asked = []
    for named in destinations:
        meant = partial(_meant, named=named, intent=intent, moment=now(), keeps=wanted.is_import)
        changed = shelving.change(project.shelf, named.stream, meant)
        assert changed.after is not None
        generation = changed.after.tags[named.tag].generation
        asked.append(Wanted(named.stream, named.tag, intent, generation, wanted.reason))
    imported = [None] * len(asked) if intent.reference else import_tags(project, asked)
    return [
        Tagged(str(each), wanted.source, is_scheduled=intent.is_scheduled, imported=result)
        for each, result in zip(asked, imported, strict=True)
    ]


def _copy(wanted: Tagging, source: names.Named, destination: names.Named, shelf: Shelf) -> Tagged:
    """Lets a tag point to what another points to now; it doesn't follow."""
    found = pointed_by(source, shelving.existing(shelf, source.stream), "tag", wanted.reason)
    image = replace(source, tag="", image=found.revision.image)
    intent = replace(wanted.intent, source=f"{names.PREFIX}{image}", kind=found.known.kind)

    def copied(stream: Stream | None) -> Stream:
        meant = _meant(stream, destination, intent, found.revision.created)
        return changes.point(meant, {destination.tag: Pointed(found.revision, found.known)})

    shelving.change(shelf, destination.stream, copied)
    return Tagged(str(destination), str(image))


def _follow(wanted: Tagging, source: names.Named, destination: names.Named, shelf: Shelf) -> Tagged:
    if source.image or source.stream != destination.stream:
        what = "an image never moves" if source.image else f"'{destination}' is another stream's"
        raise UsageError(f"'{destination}' can't follow '{source}': {what}", hint="leave --alias out")
    intent = replace(wanted.intent, alias=source.tag)
    shelving.change(
        shelf, destination.stream, partial(_meant, named=destination, intent=intent, moment=now())
    )
    return Tagged(str(destination), str(source), is_alias=True)


def _meant(
    stream: Stream | None, named: names.Named, intent: Intent, moment: datetime, *, keeps: bool = False
) -> Stream:
    """The stream, made if there is none, with a tag that is meant so. Raises UsageError.

    With `keeps`, also for a tag that comes from somewhere else.
    """
    stream = stream or Stream(moment)
    before = stream.tags.get(named.tag)
    source = (before.intent.source or before.intent.alias) if before and before.intent else ""
    if keeps and source not in ("", intent.source):
        hint = f"`imgbake stream tag {intent.source} {named}` changes that"
        raise UsageError(f"'{named}' comes from {source}", hint=hint)
    if before is not None and before.intent is not None and before.intent.declared:
        hint = "change it there; `imgbake stream rollback` may hold it at an earlier image meanwhile"
        raise UsageError(f"the recipe of '{before.intent.declared}' says what '{named}' is", hint=hint)
    if before is not None and before.hold is not None and intent.is_imported:
        hint = f"`imgbake stream release {named}` lets it move again"
        raise UsageError(f"'{named}' is held", hint=hint)
    return changes.intend(stream, {named.tag: intent})
