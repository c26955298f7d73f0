"""How streams change. Pure: each function takes a stream and returns another, the same one if nothing did.

The rules for histories are those of OpenShift's image streams: two neighbours are never equal, and going
back to an image that was there before is a new entry. What can happen to thousands of tags at once takes
as long as there are tags, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from imgbake.errors import UsageError
from imgbake.streams.model import Failure, Hold, Intent, Known, Revision, Stream, Tag

_NOTHING = Tag()


class Pointed(msgspec.Struct, frozen=True):
    """Where a tag is to point, and what is known of the image there."""

    revision: Revision
    known: Known = Known()


def intend(stream: Stream, intents: Mapping[str, Intent]) -> Stream:
    """Says what tags are meant to point to. What they point to stays; but one that follows follows at once.

    Raises UsageError for a tag that would follow what isn't there, or itself.
    """
    new = {name: intent for name, intent in intents.items() if _tag(stream, name).intent != intent}
    if not new:
        return stream
    generation = stream.generation + 1
    tags = dict(stream.tags)
    for name, intent in new.items():
        tags[name] = replace(_tag(stream, name), intent=intent, generation=generation, failure=None)
    meant = replace(stream, tags=tags, generation=generation)
    following = {name: _followed(meant, name, intent.alias) for name, intent in new.items() if intent.alias}
    found = {name: _as_it_is(meant, tag) for name, tag in following.items()}
    return point(meant, {name: pointed for name, pointed in found.items() if pointed})


def forget_intents(stream: Stream, names: Iterable[str]) -> Stream:
    """Lets nothing be meant of these tags any more. What they point to stays."""
    meant = [name for name in names if _tag(stream, name).intent is not None]
    if not meant:
        return stream
    gone = {name: replace(stream.tags[name], intent=None, failure=None) for name in meant}
    return replace(stream, tags={**stream.tags, **gone})


def point(stream: Stream, found: Mapping[str, Pointed]) -> Stream:
    """Lets tags, and those that follow them, point to images. A success: what had failed is forgotten."""
    followers = stream.followers()
    tags, images = dict(stream.tags), dict(stream.images)
    for name, pointed in found.items():
        for each in (name, *followers.get(name, ())):
            tag = tags.get(each, _NOTHING)
            revision = replace(pointed.revision, generation=tag.generation)
            tags[each] = replace(tag, history=added(tag.history, revision), failure=None)
            images[revision.image] = pointed.known
    moved = replace(stream, tags=tags, images=images)
    return stream if moved == stream else without_unused(moved)


def fail(stream: Stream, failures: Mapping[str, Failure]) -> Stream:
    """Notes imports that failed. The same failure again is no news."""
    new = {}
    for name, failure in failures.items():
        before = _tag(stream, name).failure
        if before is None or replace(failure, since=before.since) != before:
            new[name] = replace(_tag(stream, name), failure=failure)
    return replace(stream, tags={**stream.tags, **new}) if new else stream


def roll_back(stream: Stream, name: str, to: Revision, now: datetime, reason: str = "") -> Stream:
    """Lets a tag point again to what it once pointed to, and holds it there."""
    held = replace(stream.tags[name], hold=Hold(now, reason))
    stream = replace(stream, tags={**stream.tags, name: held})
    if held.history[0].image == to.image:
        return stream
    revision = replace(to, created=now, cause="rollback", reason=reason)
    return point(stream, {name: Pointed(revision, stream.images[to.image])})


def earlier(tag: Tag, steps: int) -> Revision | None:
    """What a tag pointed to so many steps ago; None if there are not so many.

    After a rollback it counts from where that went back to, so that the next one goes further back.
    """
    history, at = tag.history, 0
    while at < len(history) and history[at].cause == "rollback":
        at = _next(history, at, same=True)
    for _ in range(steps):
        at = _next(history, at, same=False)
    return history[at] if at < len(history) else None


def release(stream: Stream, name: str) -> Stream:
    """Lets a tag move by itself again."""
    tag = stream.tags[name]
    return replace(stream, tags={**stream.tags, name: replace(tag, hold=None)}) if tag.hold else stream


def remove(stream: Stream, name: str) -> Stream:
    """Removes a tag: what was meant, and where it pointed. Raises UsageError while another follows it."""
    following = [other for other, tag in stream.tags.items() if tag.intent and tag.intent.alias == name]
    if following:
        raise UsageError(f"'{name}' can't be removed: {', '.join(sorted(following))} would follow nothing")
    return without_unused(replace(stream, tags={key: tag for key, tag in stream.tags.items() if key != name}))


def prune(stream: Stream, stays: Callable[[int, Revision], bool]) -> Stream:
    """Shortens histories to what stays, asked with the place (0 is the newest, and always stays)."""
    tags = {}
    for name, tag in stream.tags.items():
        history = tuple(each for place, each in enumerate(tag.history) if not place or stays(place, each))
        tags[name] = tag if len(history) == len(tag.history) else replace(tag, history=history)
    if all(tags[name] is tag for name, tag in stream.tags.items()):
        return stream
    return without_unused(replace(stream, tags=tags))


def without_unused(stream: Stream) -> Stream:
    """The stream without what is known of images that are in no history any more."""
    used = {revision.image for _, revision in stream.revisions()}
    if used == stream.images.keys():
        return stream
    return replace(stream, images={image: known for image, known in stream.images.items() if image in used})


def added(history: tuple[Revision, ...], revision: Revision) -> tuple[Revision, ...]:
    """A history with another revision in front, unless that is what stands there.

    Where only one of image and reference differs, it is put right in place.
    """
    if not history:
        return (revision,)
    newest = history[0]
    if newest.image != revision.image and newest.reference != revision.reference:
        return (revision, *history)
    right = replace(
        newest, image=revision.image, reference=revision.reference, generation=revision.generation
    )
    return history if right == newest else (right, *history[1:])


def _tag(stream: Stream, name: str) -> Tag:
    return stream.tags.get(name, _NOTHING)


def _followed(stream: Stream, name: str, alias: str) -> Tag:
    """The tag that an alias follows in the end."""
    end = stream.followed(name)
    tag = stream.tags.get(end)
    if tag is None:
        raise UsageError(f"'{name}' can't follow '{alias}': this stream has no tag '{end}'")
    if tag.intent and tag.intent.alias:
        raise UsageError(f"'{name}' can't follow '{alias}', which follows '{name}'")
    return tag


def _as_it_is(stream: Stream, tag: Tag) -> Pointed | None:
    """What another tag takes over from this one."""
    current = tag.current
    if current is None:
        return None
    return Pointed(replace(current, cause="tag", reason=""), stream.images[current.image])


def _next(history: tuple[Revision, ...], at: int, *, same: bool) -> int:
    """Where the next older entry with the same image is, or with another one; past the end without one."""
    older = range(at + 1, len(history))
    return next((i for i in older if (history[i].image == history[at].image) == same), len(history))
