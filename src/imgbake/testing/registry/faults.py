"""Faults on demand: which requests are met, and what goes wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """What happens to the next `times` requests that match. Fields may be combined.

    `after` is how many bytes of the body pass before a truncation, stall or reset: of the response's
    body, or, for a request that carries one, of the request's.
    """

    method: str = ""  # any when empty
    path: str = r"/v2/."  # a regular expression searched in path and query; not the ping of /v2/ itself
    times: int = 1
    status: int = 0  # answer this instead of serving the request
    code: str = "FAULT"  # the code of the error in that answer
    headers: Mapping[str, str] = {}  # put into the answer
    without: tuple[str, ...] = ()  # headers left out of the answer
    truncate: bool = False  # close the connection in the middle of the body
    reset: bool = False  # reset the connection (RST)
    stall: float = 0  # seconds of silence
    corrupt: bool = False  # the right number of wrong bytes
    after: int = 0

    def matches(self, method: str, target: str) -> bool:
        """Is this request one that goes wrong?"""
        return self.method in ("", method) and re.search(self.path, target) is not None

    @property
    def breaks(self) -> bool:
        """Does it end or hold the connection?"""
        return self.truncate or self.reset or self.stall > 0


class Faults:
    """The faults to come, taken in the order they were given."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Lets a fault happen to the next requests that match it."""
        with self._lock:
            self._left.append((fault, fault.times))

    def take(self, method: str, target: str) -> Fault | None:
        """The fault that this request meets, used up once."""
        with self._lock:
            for place, (fault, left) in enumerate(self._left):
                if fault.matches(method, target):
                    self._left[place : place + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None

    def clear(self) -> None:
        """Ends all faults."""
        with self._lock:
            self._left.clear()
