"""How long to wait and how often to try again: exponential backoff with full jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from imgbake.api import BakeError

T = TypeVar("T")
Check = Callable[[], None]
Progress = Callable[[int, int], None]


def _go_on() -> None:
    """Nothing stops it."""


def _say_nothing(done: int, total: int) -> None:
    """Nobody listens."""


# Statuses that may pass by themselves.
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
TICK = 0.25  # seconds between two looks at whether the build still goes on


class Watch(msgspec.Struct, frozen=True):
    """Who watches a transfer: `check` raises when it must stop, `progress` hears bytes done and in all."""

    check: Check = _go_on
    progress: Progress = _say_nothing


class Timeouts(msgspec.Struct, frozen=True):
    """In seconds: for a connection to be made, and for a connection on which not one byte moves.

    `commit` is for a registry that has a whole blob and has yet to say that it keeps it: some copy and
    hash it first.
    """

    connect: float = 10
    stall: float = 30
    commit: float = 300


class Retries(msgspec.Struct, frozen=True):
    """How often something is tried, without progress, and how long the pauses in between are (seconds).

    The pause before try n+1 is random, below `first` * 2**(n-1) and below `longest`. A pause that the
    registry asks for is kept, up to `longest_asked`; a longer one ends the tries.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 20
    longest_asked: float = 120


class Transient(Exception):
    """Something failed that may pass. `error` is what the user is told if it doesn't.

    `after` is the pause in seconds that was asked for; `progressed` says that the try was not in vain,
    so that the tries are counted from the beginning.
    """

    def __init__(self, error: BakeError, *, after: float | None = None, progressed: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after
        self.progressed = progressed


def patiently(attempt: Callable[[], T], retries: Retries, check: Check) -> T:
    """What `attempt` returns, tried again while it raises Transient. Raises its error in the end."""
    failed = 0
    while True:
        try:
            return attempt()
        except Transient as failure:
            failed = 1 if failure.progressed else failed + 1
            after = failure.after or 0.0
            if failed >= retries.attempts or after > retries.longest_asked:
                raise failure.error from failure
            _pause(max(after, _jitter(retries, failed)), check)


def _jitter(retries: Retries, failed: int) -> float:
    return random.uniform(0, min(retries.longest, retries.first * 2.0 ** (failed - 1)))


def _pause(seconds: float, check: Check) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(left, TICK))
    check()
