"""Image streams, as far as nobody has to be asked: what there is, tags, rollbacks, and who holds what.

Nothing here reads more of a recipe than its [project] table, or imports what talks to a registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from imgbake.contract import Shelf
from imgbake.errors import BakeError, UsageError
from imgbake.recipe.glance import project_table
from imgbake.streams import changes, names, shelving
from imgbake.streams.folder import Folder
from imgbake.streams.model import CONTAINER, Intent, Known, Revision, Stream, Tag

_OWN = ("image:", names.PREFIX)  # sources that only this project, or this shelf, knows


class Streams(msgspec.Struct, frozen=True):
    """The streams of a project."""

    project: str  # its name
    shelf: Shelf


class Image(msgspec.Struct, frozen=True):
    """An image of a stream: `NAME@DIGEST` with all that is known of it."""

    stream: str
    image: str
    reference: str
    known: Known
    tags: tuple[str, ...]  # that point to it now
    since: datetime


def of_project(file: Path, check: Callable[[], None] = lambda: None) -> Streams:
    """The streams of the project of a recipe, which need not be there.

    Raises UsageError for a recipe that is no TOML, or an address that is none.
    """
    table = _project_table(file)
    root = file.parent.resolve()
    return Streams(str(table.get("name") or root.name), _shelf(_address(table, file), root, check))


def address(file: Path) -> str:
    """Where the project of a recipe, which need not be there, keeps its streams. Raises UsageError."""
    return _address(_project_table(file), file)


def _address(table: Mapping[str, Any], file: Path) -> str:
    found = table.get("streams") or shelving.DEFAULT
    if not isinstance(found, str):
        raise UsageError(f"{file}: `streams` of [project] is no text", hint="see `imgbake check`")
    return found


def _project_table(file: Path) -> dict[str, Any]:
    return project_table(file) if file.exists() else {}


def _shelf(address: str, root: Path, check: Callable[[], None]) -> Shelf:
    if "://" not in address:
        return Folder(root / address)
    from imgbake import plugins

    return shelving.open_shelf(address, root, plugins.installed(), check)


def read(shelf: Shelf, wanted: Sequence[str]) -> dict[str, Stream]:
    """These streams, or all, by name. Raises UsageError for one that isn't there, and for a tag."""
    if wanted:
        return {name: shelving.existing(shelf, name) for name in map(_stream_alone, wanted)}
    loaded = {name: shelving.load(shelf, name) for name in shelf.names()}
    return {name: stream for name, stream in loaded.items() if stream is not None}


def _stream_alone(text: str) -> str:
    named = names.parse(text)
    if named.tag or named.image:
        raise UsageError(f"'{text}' is more than a stream", hint=f"write {named.stream}")
    return named.stream


def tag_of(shelf: Shelf, named: names.Named) -> tuple[Stream, Tag]:
    """A stream and its tag. Raises UsageError when one of them isn't there."""
    stream = shelving.existing(shelf, named.stream)
    return stream, _tag(named, stream)


def image(shelf: Shelf, named: names.Named, *, strict: bool = False) -> Image:
    """The image that is named, or that a tag points to. Raises BakeError.

    With `strict`, not if the tag is meant to point elsewhere by now, or can't be imported.
    """
    stream = shelving.existing(shelf, named.stream)
    if named.image:
        found = names.image(named, stream)
    else:
        tag = _tag(named, stream)
        if strict and (tag.is_pending or tag.failure):
            why = tag.failure.message if tag.failure else "its import is due"
            raise BakeError(f"'{named}' may be out of date: {why}", hint=f"`imgbake stream import {named}`")
        if tag.current is None:
            raise BakeError(f"'{named}' points to no image yet", hint=f"`imgbake stream import {named}`")
        found = tag.current.image
    revisions = [each for _, each in stream.revisions() if each.image == found]
    tags = tuple(
        name for name, tag in stream.tags.items() if tag.current is not None and tag.current.image == found
    )
    since = min(each.created for each in revisions)
    return Image(named.stream, found, revisions[0].reference, stream.images[found], tags, since)


def roll_back(
    shelf: Shelf, named: names.Named, now: datetime, *, to: str = "", steps: int = 1, reason: str = ""
) -> shelving.Changed:
    """Lets a tag point to what it once pointed to, and holds it. Raises UsageError."""

    def back(stream: Stream | None) -> Stream:
        stream = _existing(stream, named)
        return changes.roll_back(stream, named.tag, _earlier(stream, named, to, steps), now, reason)

    return shelving.change(shelf, named.stream, back)


def release(shelf: Shelf, named: names.Named) -> bool:
    """Lets a tag move by itself again. Was it held? Raises UsageError when there is no such tag."""

    def released(stream: Stream | None) -> Stream:
        stream = _existing(stream, named)
        _tag(named, stream)
        return changes.release(stream, named.tag)

    changed = shelving.change(shelf, named.stream, released)
    return changed.before is not changed.after


def remove(shelf: Shelf, named: names.Named) -> None:
    """Removes a stream, or one tag of it. Raises UsageError."""

    def removed(stream: Stream | None) -> Stream | None:
        stream = _existing(stream, named)
        if not named.tag:
            return None
        _tag(named, stream)
        return changes.remove(stream, named.tag)

    if named.image:
        hint = "`imgbake stream prune` removes what is old"
        raise UsageError(f"'{named}' is an image of a history", hint=hint)
    shelving.change(shelf, named.stream, removed)


def prune(
    shelf: Shelf, wanted: Sequence[str], keep: int, before: datetime, held: frozenset[str], *, confirm: bool
) -> list[tuple[str, Revision]]:
    """What histories no longer need: beyond the newest `keep` of a tag, and older than `before`.

    Never an image that a tag points to by its digest, or that is `held`. Removed only when confirmed.
    """
    everywhere = read(shelf, ())
    chosen = read(shelf, wanted)
    kept = held | {
        names.image(named, everywhere[named.stream])
        for stream in everywhere.values()
        for tag in stream.tags.values()
        if tag.intent is not None and (named := _by_digest(tag.intent.source, everywhere)) is not None
    }
    pruned = []
    for name in chosen:
        if confirm:
            changed = shelving.change(shelf, name, partial(_pruned, keep=keep, before=before, held=kept))
            old, new = changed.before, changed.after
        else:
            old, new = chosen[name], _pruned(chosen[name], keep, before, kept)
        if old is not None and new is not None:
            pruned += [
                (f"{name}:{tag}", revision)
                for tag, entry in old.tags.items()
                for revision in entry.history
                if revision not in new.tags[tag].history
            ]
    return pruned


def distributed(file: Path) -> frozenset[str]:
    """The images that the project of a recipe has let names mean at destinations, or can put back."""
    from imgbake.engine.pointers import Pointers
    from imgbake.engine.project import STATE

    references = frozenset(Pointers(file.parent / STATE / "pointers").held())
    images = {reference.rpartition(mark)[2] for reference in references for mark in "@:"}
    return references | images


def as_toml(streams: Mapping[str, Stream]) -> str:
    """Streams as tables of a recipe, with the images that their tags point to."""
    import tomli_w

    return tomli_w.dumps({"streams": {name: _table(stream) for name, stream in streams.items()}})


def _table(stream: Stream) -> dict[str, Any]:
    about = {"repository": stream.repository, "lookup": stream.lookup}
    about |= {"labels": stream.labels, "annotations": stream.annotations}
    tags = {name: _tag_table(tag, stream) for name, tag in sorted(stream.tags.items())}
    return {**{key: value for key, value in about.items() if value}, "tags": tags}


def _tag_table(tag: Tag, stream: Stream) -> dict[str, Any]:
    intent = tag.intent or Intent()
    kind, source = intent.kind, intent.source
    if source.startswith(_OWN) or not source:  # what means nothing elsewhere; the image does
        source = ""
        if tag.current and not intent.alias:
            kind = stream.images[tag.current.image].kind
            source = tag.current.reference
    says: dict[str, Any] = {
        "from": {kind: source} if source and kind != CONTAINER else source,
        "alias": intent.alias,
        "reference": intent.reference,
        "every": intent.every,
        "cron": intent.cron,
        "platform": intent.platform,
        "reference_policy": intent.policy if intent.policy != "source" else "",
        "image": tag.current.reference if tag.current and not intent.alias else "",
        "annotations": intent.annotations,
    }
    return {key: value for key, value in says.items() if value}


def _pruned(stream: Stream | None, keep: int, before: datetime, held: frozenset[str]) -> Stream | None:
    if stream is None:
        return None
    return changes.prune(
        stream, lambda place, each: place < keep or each.created >= before or each.image in held
    )


def _by_digest(source: str, everywhere: dict[str, Stream]) -> names.Named | None:
    """The image of a stream that an intent names, if it does, and the image is there."""
    if not source.startswith(names.PREFIX):
        return None
    named = names.parse(source)
    stream = everywhere.get(named.stream)
    if stream is None or not named.image:
        return None
    try:
        names.image(named, stream)
    except UsageError:
        return None
    return named


def _existing(stream: Stream | None, named: names.Named) -> Stream:
    if stream is None:
        raise UsageError(f"there is no stream '{named.stream}'", hint="`imgbake stream ls` shows them")
    return stream


def _tag(named: names.Named, stream: Stream) -> Tag:
    tag = stream.tags.get(named.tag or names.LATEST)
    if tag is None:
        raise names.unknown_tag(names.Named(named.stream, named.tag or names.LATEST), stream)
    return tag


def _earlier(stream: Stream, named: names.Named, to: str, steps: int) -> Revision:
    tag = _tag(named, stream)
    if tag.intent and tag.intent.alias:
        followed = f"{named.stream}:{stream.followed(named.tag)}"
        raise UsageError(f"'{named}' follows '{tag.intent.alias}'", hint=f"roll back {followed}")
    hint = f"`imgbake stream history {named}` shows where it pointed"
    if to:
        wanted = names.image(names.Named(named.stream, image=to), stream)
        found = next((each for each in tag.history if each.image == wanted), None)
        if found is None:
            raise UsageError(f"'{named}' never pointed to {to}", hint=hint)
        return found
    found = changes.earlier(tag, steps)
    if found is None:
        where = "nowhere else before" if steps == 1 else f"to no image {steps} steps ago"
        raise UsageError(f"'{named}' pointed {where}", hint=hint)
    return found
