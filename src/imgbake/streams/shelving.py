"""Streams on their shelf: found, read, and changed so that nobody's change is lost."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import msgspec

from imgbake.contract import Queueing, Shelf
from imgbake.errors import BakeError, UsageError, did_you_mean
from imgbake.streams import document
from imgbake.streams.folder import Folder
from imgbake.streams.model import Stream

DEFAULT = ".imgbake/streams"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://")
_PATIENCE = 120.0  # seconds in which others must let us have our turn


class Kinds(Protocol):
    """The kinds of shelf that are installed."""

    def shelf(self, kind: str) -> Callable[[str, Callable[[], None]], Shelf] | None:
        """What makes shelves of this kind, None when no plugin does."""

    def shelf_kinds(self) -> Sequence[str]:
        """Every kind of shelf. Imports nothing."""


class Changed(msgspec.Struct, frozen=True):
    """A stream before and after a change; None where there is none."""

    name: str
    before: Stream | None
    after: Stream | None


def open_shelf(address: str, root: Path, kinds: Kinds, check: Callable[[], None]) -> Shelf:
    """The shelf of an address: a folder, relative to the project's, or what a plugin knows.

    Raises BakeError for an address that is wrong.
    """
    found = _ADDRESS.match(address)
    if found is None:
        return Folder(root / address)
    make = kinds.shelf(found[1])
    if make is None:
        hint = did_you_mean(found[1], kinds.shelf_kinds()) or "a folder needs no '://'"
        raise UsageError(f"nothing keeps streams at '{address}': no plugin knows {found[1]}://", hint=hint)
    return make(address, check)


def load(shelf: Shelf, name: str) -> Stream | None:
    """A stream; None when there is none. Raises BakeError when it can't be read."""
    kept = shelf.load(name)
    return document.parse(kept.data, name) if kept else None


def existing(shelf: Shelf, name: str) -> Stream:
    """A stream. Raises UsageError when there is none."""
    stream = load(shelf, name)
    if stream is None:
        hint = did_you_mean(name, shelf.names()) or "`imgbake stream tag` makes one"
        raise UsageError(f"there is no stream '{name}'", hint=hint)
    return stream


def change(
    shelf: Shelf,
    name: str,
    how: Callable[[Stream | None], Stream | None],
    wait: Callable[[float], object] = time.sleep,
) -> Changed:
    """Changes a stream: `how` gets it as it is, and returns it as it is to be; None where there is none.

    When somebody else was faster, `how` is asked again with what that one left: it must be pure. Raises
    what it raises, and BakeError when others are always faster.
    """
    with shelf.turn() if isinstance(shelf, Queueing) else nullcontext():
        return _changed(shelf, name, how, wait)


def _changed(
    shelf: Shelf,
    name: str,
    how: Callable[[Stream | None], Stream | None],
    wait: Callable[[float], object],
) -> Changed:
    last = time.monotonic() + _PATIENCE
    while True:
        began = time.monotonic()
        kept = shelf.load(name)
        before = document.parse(kept.data, name) if kept else None
        after = how(before)
        if after is before or _put(shelf, name, after, kept.version if kept else ""):
            return Changed(name, before, after)
        now = time.monotonic()
        if now > last:
            message = f"the stream '{name}' could not be changed: others changed it all the time"
            raise BakeError(message, hint="try again")
        # Somebody else was faster, so all go on; who waited longer and longer would never have a turn.
        wait(random.uniform(0, now - began))


def _put(shelf: Shelf, name: str, stream: Stream | None, expected: str) -> bool:
    return (
        shelf.remove(name, expected) if stream is None else shelf.save(name, document.dump(stream), expected)
    )
