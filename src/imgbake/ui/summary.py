"""The last words of a build: what failed, what took long, and how many nodes did what."""

from __future__ import annotations

from imgbake.events import BuildFinished, Event, NodeFailed, NodeFinished
from imgbake.ui.colours import Style
from imgbake.ui.tables import duration
from imgbake.ui.visible import visible
from imgbake.ui.wording import Line

_SLOW = 1.0  # seconds from which a node is worth naming
_SLOWEST = 3
_FAILURES = 20


class Summary:
    """Remembers of a build what its last lines need."""

    def __init__(self) -> None:
        self._slow: list[tuple[float, str]] = []
        self._finished = 0
        self._failures: list[NodeFailed] = []

    def on(self, event: Event) -> None:
        """Takes note of nodes that ended."""
        if isinstance(event, NodeFinished) and event.outcome != "cached":
            self._finished += 1
            if event.seconds > _SLOW:
                self._slow.append((event.seconds, event.node))
        elif isinstance(event, NodeFailed):
            self._failures.append(event)

    def lines(self, end: BuildFinished) -> list[Line]:
        """The slowest nodes, every failure once more, and the counts."""
        style: Style = "red" if end.failed or end.interrupted else "bold"
        return [*self._slowest(), *self._failed(), Line(counts(end), style)]

    def _slowest(self) -> list[Line]:
        if self._finished < 2 or not self._slow:
            return []
        slowest = sorted(self._slow, reverse=True)[:_SLOWEST]
        return [Line("slowest: " + ", ".join(f"{node} {duration(time)}" for time, node in slowest), "dim")]

    def _failed(self) -> list[Line]:
        lines: list[Line] = []
        for event in self._failures[:_FAILURES]:
            message = visible(event.error.partition("\n")[0])
            lines.append(Line(f"failed: {event.node}: {message}", "red"))
            if event.tail:  # it printed something
                lines.append(Line(f"  see the whole log: imgbake log {event.node}"))
        more = len(self._failures) - _FAILURES
        return [*lines, Line(f"failed: {more} more", "red")] if more > 0 else lines


def counts(end: BuildFinished) -> str:
    """How many nodes did what, and the time: interrupted: 1 skipped, 3 ran, 12 cached in 4.2 s."""
    numbers = {
        "failed": end.failed,
        "skipped": end.skipped,
        "ran": end.ran,
        "cached": end.cached,
        "restored": end.restored,
    }
    said = ", ".join(f"{number} {word}" for word, number in numbers.items() if number)
    interrupted = "interrupted: " if end.interrupted else ""
    return f"{interrupted}{said or 'nothing to do'} in {duration(end.seconds)}"
