"""Work on many things at once, which ends for all when one has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from imgbake.api import Interrupted

T = TypeVar("T")
R = TypeVar("R")


class Together:
    """What one delivery does at once. Its `check` raises when the build stops, or another has failed."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._outer = check
        self._has_failed = False

    def check(self) -> None:
        """To be called while waiting and between pieces."""
        self._outer()
        if self._has_failed:
            raise Interrupted

    def each(self, work: Callable[[T], R], items: Sequence[T], at_once: int) -> list[R]:
        """What `work` returns for each item; after a failure the others are stopped."""

        def attempt(item: T) -> R:
            try:
                return work(item)
            except BaseException:
                self._has_failed = True
                raise

        if not items:
            return []
        with ThreadPoolExecutor(min(at_once, len(items))) as pool:
            attempts = [pool.submit(attempt, item) for item in items]
        errors = [error for each in attempts if (error := each.exception()) is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
        return [each.result() for each in attempts]
