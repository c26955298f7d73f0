"""What happens during a build, as frozen values. Observers see them; nobody can change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

INTERRUPTED = "interrupted"  # why a node is skipped that ran when the user stopped the build


class Event(msgspec.Struct, frozen=True, tag_field="event"):
    """Something that happened. `time` is seconds since 1970."""

    time: float


class BuildStarted(Event, frozen=True, tag="build-started"):
    """The graph is known."""

    nodes: int
    jobs: int


class NodeStarted(Event, frozen=True, tag="node-started"):
    """A node runs, because of `why` (the first reason is the most telling)."""

    node: str
    why: tuple[str, ...]
    attempt: int = 1


class NodeOutput(Event, frozen=True, tag="node-output"):
    """A line that a node printed, secrets masked."""

    node: str
    line: str


class NodeProgress(Event, frozen=True, tag="node-progress"):
    """How far a node is. `total` is 0 when nobody knows."""

    node: str
    done: int
    total: int
    unit: str


class NodeNote(Event, frozen=True, tag="node-note"):
    """Something the user should know that is not an error."""

    node: str
    message: str


class NodeFinished(Event, frozen=True, tag="node-finished"):
    """A node is done. `outcome` is "ran", "cached" (it was there) or "restored" (from the store)."""

    node: str
    outcome: str
    seconds: float
    digest: str = ""
    reference: str = ""


class NodeFailed(Event, frozen=True, tag="node-failed"):
    """A node failed. `error` is the message, `tail` its last lines."""

    node: str
    seconds: float
    error: str
    hint: str = ""
    tail: tuple[str, ...] = ()


class NodeSkipped(Event, frozen=True, tag="node-skipped"):
    """A node did not run because one that it depends on failed, or the build stopped."""

    node: str
    because: str


class BuildFinished(Event, frozen=True, tag="build-finished"):
    """The end, with counts by outcome. `interrupted` says that the user stopped it."""

    seconds: float
    ran: int
    cached: int
    restored: int
    failed: int
    skipped: int
    interrupted: bool = False


class Observer(Protocol):
    """Sees events, in order, from one thread."""

    def on(self, event: Event) -> None:
        """Called once for each event. Must not block for long."""


def telling(observers: Sequence[Observer]) -> Callable[[Event], None]:
    """What tells an event to all of them."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer.on(event)

    return tell
