"""Time: the world's, or one that stands still until it is told to go on."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()


class Clock:
    """The world's time."""

    manual = False

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()


class ManualClock(Clock):
    """Stands still until it is told to go on."""

    manual = True

    def __init__(self, start: float = START) -> None:
        self._now, self._lock = start, threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Goes on by some seconds, and lets everything happen that is due."""
        with self._lock:
            self._now += seconds
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Calls something whenever time has gone on."""
        self._watchers.append(watcher)


def date(seconds: float) -> str:
    """A moment as the service writes it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
