"""Threads that would do the same thing do it one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

_TICK = 0.2  # seconds between two looks at whether the build still goes on


class Turns:
    """Gives each thing to one thread at a time. Safe from threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy: dict[Hashable, threading.Lock] = {}

    @contextmanager
    def alone(self, key: Hashable, check: Callable[[], None]) -> Iterator[None]:
        """Keeps other threads from doing the same thing until the block ends.

        `check` is called while waiting for one that does; what it raises ends that.
        """
        with self._guard:
            busy = self._busy.setdefault(key, threading.Lock())
        while not busy.acquire(timeout=_TICK):
            check()
        try:
            yield
        finally:
            busy.release()
