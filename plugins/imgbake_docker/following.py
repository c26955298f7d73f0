"""Waiting for what an engine says, so that a stop, a timeout and Ctrl-C are heeded at once.

A read from the engine lasts as long as a command is silent. So a thread reads, and the step's own
thread looks several times a second whether it must stop; then `cancel` ends the read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import Empty, Queue
from typing import TypeVar

from imgbake.api import RunContext, TimedOut

T = TypeVar("T")

_LOOK_EVERY = 0.1  # seconds
_AHEAD = 16  # items that wait; some are megabytes


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def follow(
    produce: Callable[[Callable[[T], None]], None],
    cancel: Callable[[], None],
    ctx: RunContext,
    timeout: float | None = None,
) -> Generator[T]:
    """What `produce` hands to the function that it is given, as it comes.

    Raises what `produce` raised, what `ctx.check` raises, and TimedOut after `timeout` seconds; in the
    last two cases, and when the caller stops reading, `cancel` is called.
    """
    queue: Queue[T | _End] = Queue(_AHEAD)

    def work() -> None:
        try:
            produce(queue.put)
        except BaseException as error:  # noqa: BLE001  # raised again in the step's own thread
            queue.put(_End(error))
        else:
            queue.put(_End(None))

    until = None if timeout is None else time.monotonic() + timeout
    threading.Thread(target=work, daemon=True, name="docker").start()
    is_over = False
    try:
        while not is_over:
            ctx.check()
            if until is not None and time.monotonic() > until:
                hint = "`timeout` says how long it may take"
                raise TimedOut(f"timed out after {timeout:g} s", hint=hint)
            try:
                item = queue.get(timeout=_LOOK_EVERY)
            except Empty:
                continue
            if isinstance(item, _End):
                is_over = True
                if item.error is not None:
                    raise item.error
            else:
                yield item
    finally:
        if not is_over:
            cancel()


def each(start: Callable[[], Iterable[T]], ctx: RunContext) -> Iterator[T]:
    """What an iterable of the SDK gives, which is read by a thread as in `follow`.

    A stop does not wait for the engine, which may go on for a while.
    """

    def produce(put: Callable[[T], None]) -> None:
        for item in start():
            put(item)

    return follow(produce, lambda: None, ctx)
