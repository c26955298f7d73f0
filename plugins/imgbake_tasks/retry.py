"""Trying again what may go better the next time, with longer and longer waits."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from typing import TypeVar

from imgbake.api import RunContext, StepError

FIRST_WAIT = 1.0  # seconds; doubled with each attempt
LONGEST_WAIT = 60.0
_TICK = 0.1
_T = TypeVar("_T")


class Transient(Exception):
    """Something went wrong that may go well the next time.

    `wait` is how many seconds the other side asks to wait; `undone` says that it has surely not acted.
    """

    def __init__(
        self, message: str, *, hint: str = "", wait: float | None = None, undone: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.wait = wait
        self.undone = undone

    def final(self, attempts: int) -> StepError:
        """The same as an error that ends the step."""
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        return StepError(self.message + tried, hint=self.hint)


def until_done(ctx: RunContext, attempts: int, work: Callable[[], _T]) -> _T:
    """What `work` returns, called again after a wait each time that it raises Transient.

    Raises StepError when the last attempt failed too, or the server asks for too long a wait.
    """
    for attempt in range(1, attempts + 1):
        ctx.check()
        try:
            return work()
        except Transient as trouble:
            if attempt == attempts or (trouble.wait or 0) > LONGEST_WAIT:
                raise trouble.final(attempt) from None
            wait = _wait(attempt) if trouble.wait is None else trouble.wait
            ctx.log(f"{trouble.message}; trying again in {wait:.1f} s")
        _pause(ctx, wait)
    raise AssertionError("unreachable: an attempt returns or raises")


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, which gives seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _wait(attempt: int) -> float:
    """Doubled each time, and a little different for each of many clients that failed together."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25)


def _pause(ctx: RunContext, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ctx.check()
        time.sleep(min(_TICK, left))
