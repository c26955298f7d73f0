"""When tags are due to be imported, and when they were looked at last.

`.imgbake/looked` is this machine's memory of that. It is not in the streams' documents, since a look that
finds nothing is to change nothing there. Without it every scheduled tag is looked at once more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from imgbake.app.importing import Imported
from imgbake.recipe.duration import seconds
from imgbake.streams import cron
from imgbake.streams.model import Intent, Tag

NAME = "looked"
_FIRST_RETRY, _LAST_RETRY = 10.0, 900.0  # seconds
_JITTER = 0.1  # of the time between two looks, at most
_CRON_JITTER = 60.0  # seconds: who names a time means it
_EPOCH = datetime.fromtimestamp(0, UTC)


class Looked(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a tag was looked at last, and how often in a row that has failed."""

    at: datetime
    failures: int = 0


_DECODER = msgspec.json.Decoder(dict[str, Looked])


def read(state: Path) -> dict[str, Looked]:
    """What is remembered, by NAME:TAG; nothing if that can't be read."""
    try:
        return _DECODER.decode((state / NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}


def note(state: Path, imported: Iterable[Imported], now: datetime) -> dict[str, Looked]:
    """Remembers that these tags were looked at, and returns all that is remembered."""
    looked = read(state)
    for each in imported:
        before = looked.get(each.tag)
        failed = each.result == "failed"
        looked[each.tag] = Looked(now, (before.failures if before else 0) + 1 if failed else 0)
    state.mkdir(parents=True, exist_ok=True)
    beside = state / f"{NAME}.{os.getpid()}"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(looked), indent=0))
    beside.replace(state / NAME)
    return looked


def next_look(tag: Tag, looked: Looked | None) -> datetime | None:
    """When a tag is to be looked at next; None for one that isn't imported by itself.

    One whose intent was never followed is due at once, and a failure is tried again sooner than the
    schedule has it: after ten seconds, and then after longer and longer.
    """
    intent = tag.intent
    if intent is None or not intent.is_imported or tag.hold is not None:
        return None
    is_followed = tag.current is not None and tag.current.generation >= tag.generation
    if is_followed and not intent.is_scheduled:
        return None
    if looked is None or not looked.failures:
        return _scheduled(intent, _last(tag, looked)) if is_followed else _EPOCH
    pause = min(_FIRST_RETRY * 2 ** min(looked.failures - 1, 10), _LAST_RETRY)
    again = looked.at + timedelta(seconds=pause)
    scheduled = _scheduled(intent, _last(tag, looked))
    return min(again, scheduled) if scheduled else again


def spread(name: str, due: datetime, intent: Intent, looked: Looked | None) -> datetime:
    """A moment a little later, so that tags with one interval are not all looked at in one moment."""
    if looked is None:
        return due
    most = max(0.0, (due - looked.at).total_seconds()) * _JITTER
    share = random.Random(f"{name} {due.isoformat()}").random()
    return due + timedelta(seconds=share * (min(most, _CRON_JITTER) if intent.cron else most))


def _last(tag: Tag, looked: Looked | None) -> datetime:
    """When somebody last looked at where the source points to, as far as is known here."""
    known = [looked.at] if looked else []
    known += [tag.current.created] if tag.current else []
    known += [tag.failure.since] if tag.failure else []
    return max(known, default=_EPOCH)


def _scheduled(intent: Intent, last: datetime) -> datetime | None:
    if intent.cron:
        return cron.parse(intent.cron).after(last)
    every = seconds(intent.every)
    return last + timedelta(seconds=every) if every else None
