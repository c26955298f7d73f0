"""What a live view shows at one moment, as lines: the running nodes and the counts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from imgbake.events import (
    BuildFinished,
    BuildStarted,
    Event,
    NodeFailed,
    NodeFinished,
    NodeOutput,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui import wording
from imgbake.ui.tables import cells, duration, size
from imgbake.ui.visible import visible
from imgbake.ui.wording import Line

_SHORTEST = 10  # columns of the names, at least


class Running(msgspec.Struct):
    """A node that runs. `started` and `first` are readings of the frame's clock, in seconds."""

    started: float
    detail: str  # why it runs, then its last line
    progress: NodeProgress | None = None
    first: tuple[float, int] = (0.0, 0)  # when its first progress came, and how far it was


class Frame:
    """The state of a build, and how it looks in so many columns and rows. Knows no terminal."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._nodes = 0
        self._counts = {"cached": 0, "failed": 0, "skipped": 0}
        self._done = 0
        self._running: dict[str, Running] = {}

    def on(self, event: Event) -> None:
        """Takes note of the event."""
        match event:
            case NodeFinished():
                self._end(event.node, event.outcome)
            case NodeOutput():
                self._detail(event)
            case NodeProgress():
                self._progress(event)
            case NodeStarted():
                self._running[event.node] = Running(self._clock(), wording.reason(event.why))
            case NodeFailed():
                self._end(event.node, "failed")
            case NodeSkipped():
                self._end(event.node, "skipped")
            case BuildStarted():
                self._nodes = event.nodes
            case BuildFinished():
                self._running.clear()

    def rows(self, width: int, height: int) -> list[Line]:
        """The running nodes, the longest running first, and a line of counts, cut to the width."""
        room = max(1, height - 2)
        names = list(self._running)
        shown = names if len(names) <= room else names[: room - 1]
        column = max(_SHORTEST, min(max(map(cells, shown), default=0), width // 2))
        rows = [Line(cut(self._row(name, column), width)) for name in shown]
        if len(shown) < len(names):
            rows.append(Line(cut(f"  and {len(names) - len(shown)} more", width), "dim"))
        return [*rows, Line(cut(self._total(), width), "bold")]

    def _end(self, node: str, outcome: str) -> None:
        self._running.pop(node, None)
        self._done += 1
        if outcome in self._counts:
            self._counts[outcome] += 1

    def _detail(self, event: NodeOutput) -> None:
        running = self._running.get(event.node)
        if running is not None and event.line.strip():
            running.detail = event.line

    def _progress(self, event: NodeProgress) -> None:
        running = self._running.get(event.node)
        if running is None:
            return
        if running.progress is None or event.done < running.progress.done:
            running.first = (self._clock(), event.done)
        running.progress = event

    def _row(self, name: str, column: int) -> str:
        running = self._running[name]
        label = cut(name, column)
        label += " " * (column - cells(label))
        return f"  {label} {_elapsed(self._clock() - running.started):>8}  {self._doing(running)}".rstrip()

    def _doing(self, running: Running) -> str:
        event = running.progress
        if event is None:
            return visible(running.detail).expandtabs().strip()
        amount = wording.amount(event.done, event.total, event.unit)
        seconds, done = self._clock() - running.first[0], event.done - running.first[1]
        if event.unit != "bytes" or seconds < 1:
            return amount
        return f"{amount}, {size(done / seconds)}/s"

    def _total(self) -> str:
        counts = [f"{self._done}/{max(self._nodes, self._done)} done", f"{len(self._running)} running"]
        counts += [f"{number} {word}" for word, number in self._counts.items() if number]
        return ", ".join([*counts, _elapsed(self._clock() - self._began)])


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits into so many columns, with dots for the rest."""
    if cells(text) <= width:
        return text
    keep = max(0, width - 3)
    if text.isascii():
        return text[:keep] + "..."[:width]
    from rich.cells import set_cell_size

    return set_cell_size(text, keep).rstrip() + "..."[:width]


def _elapsed(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 59.95 else duration(seconds)
