"""What a tag remembers of the triggers on it: for which image each was started last, and by whom.

A trigger is compared with what its tag points to now, and not told of moves: so nothing that happens in
between is missed, and an image that is there still is no news. Who starts one claims it first, in the
document of the stream, and confirms it afterwards. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from imgbake.streams.model import Fired, Stream, Tag

LEASE = timedelta(hours=6)  # after which a claim of another machine is taken for forgotten
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=10), timedelta(minutes=15)


class Who(msgspec.Struct, frozen=True):
    """Who starts triggers: a machine's project, which starts one at a time, and which time it is."""

    place: str
    turn: str

    def __str__(self) -> str:
        return f"{self.place} {self.turn}"


def is_due(tag: Tag, trigger: str, config: str, who: Who, now: datetime) -> bool:
    """Is a trigger to be started? `config` is the digest of what it is, empty if that doesn't matter.

    A claim of our own place is one that we didn't come to confirm.
    """
    if tag.current is None or tag.hold is not None:
        return False
    last = tag.fired.get(trigger)
    if last is None:
        return True
    if last.claim and not last.claim.startswith(f"{who.place} "):
        return now >= last.at + LEASE
    if last.claim:
        return True
    if last.failures:
        pause = min(_FIRST_RETRY * 2 ** min(last.failures - 1, 10), _LAST_RETRY)
        return last.image != tag.current.image or now >= last.at + pause
    return last.image != tag.current.image or (bool(config) and last.config != config)


def claim(stream: Stream, name: str, trigger: str, config: str, who: Who, now: datetime) -> Stream:
    """Notes that a trigger is being started for the image of a tag, unless it isn't due any more."""
    tag = stream.tags.get(name)
    if tag is None or tag.current is None or not is_due(tag, trigger, config, who, now):
        return stream
    last = tag.fired.get(trigger)
    failures = last.failures if last and last.image == tag.current.image else 0
    started = Fired(tag.current.image, now, before(tag, trigger), config, str(who), failures)
    return _with(stream, name, trigger, started)


def before(tag: Tag, trigger: str) -> str:
    """The image that a trigger was started for before the present one, empty if there was none."""
    last = tag.fired.get(trigger)
    if last is None:
        return ""
    return last.before if tag.current and last.image == tag.current.image else last.image


def is_claimed(stream: Stream, name: str, trigger: str, who: Who) -> bool:
    """Is it we who start it?"""
    tag = stream.tags.get(name)
    last = tag.fired.get(trigger) if tag else None
    return last is not None and last.claim == str(who)


def confirm(stream: Stream, name: str, trigger: str, who: Who, now: datetime, error: str = "") -> Stream:
    """Notes that it was done, or with an error, that it failed and is to be tried again."""
    if not is_claimed(stream, name, trigger, who):
        return stream  # the tag is gone, or we were taken for dead
    last = stream.tags[name].fired[trigger]
    failures = last.failures + 1 if error else 0
    return _with(stream, name, trigger, replace(last, at=now, claim="", failures=failures, error=error))


def _with(stream: Stream, name: str, trigger: str, fired: Fired) -> Stream:
    tag = stream.tags[name]
    return replace(stream, tags={**stream.tags, name: replace(tag, fired={**tag.fired, trigger: fired})})
