"""What is said of each event: every screen uses the same words, so that a reader learns them once.

    NODE: runs: src/a.py changed
    NODE | a line that it printed
    NODE: done in 1.2 s -> what it made
    NODE: failed after 0.3 s: why
    NODE: hint: what to do

The lines are for grep as much as for eyes: `NODE: ` is ours, `NODE | ` is what the node printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from imgbake.events import (
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeOutput,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui.colours import Style, paint
from imgbake.ui.tables import duration, size
from imgbake.ui.visible import visible


class Line(NamedTuple):
    """One line for a screen, free of control characters."""

    text: str
    style: Style = ""


def started(event: NodeStarted) -> Line:
    """Why the node runs; of several reasons the first, which tells most, and how many more."""
    runs = "runs" if event.attempt == 1 else f"runs again (attempt {event.attempt})"
    return Line(f"{event.node}: {runs}{': ' if event.why else ''}{reason(event.why)}")


def reason(why: tuple[str, ...]) -> str:
    """The first reason and the number of the others."""
    if len(why) < 2:
        return "".join(map(visible, why))
    return f"{visible(why[0])} (and {len(why) - 1} more)"


def output(event: NodeOutput) -> Line:
    """A line that the node printed."""
    return _printed(event.node, event.line)


def progress(event: NodeProgress) -> Line:
    """How far the node is."""
    return Line(f"{event.node}: {amount(event.done, event.total, event.unit)}", "dim")


def amount(done: int, total: int, unit: str) -> str:
    """Some of a total, or only some when the total is 0: 1.5 MiB of 3.0 MiB (50%), 12 files, 50% copied."""
    if unit.startswith("%"):
        return f"{_percent(done, total)}{visible(unit)}"
    if unit == "bytes":
        return f"{size(done)} of {size(total)} ({_percent(done, total)}%)" if total else size(done)
    return f"{done} of {total} {visible(unit)}" if total else f"{done} {visible(unit)}"


def note(event: NodeNote) -> list[Line]:
    """Something worth knowing."""
    return _said(event.node, "note: ", event.message, "yellow")


def finished(event: NodeFinished) -> Line:
    """That the node is done, and what it made."""
    word = {"ran": "done", "restored": "restored", "cached": "cached"}.get(event.outcome, event.outcome)
    made = f" -> {visible(event.reference)}" if event.reference else ""
    return Line(f"{event.node}: {word} in {duration(event.seconds)}{made}", "green")


def failed(event: NodeFailed, *, tail: bool = True) -> list[Line]:
    """Why the node failed: its last lines, the message, and what to do."""
    lines = [_printed(event.node, line) for line in event.tail] if tail else []
    lines += _said(event.node, f"failed after {duration(event.seconds)}: ", event.error, "red")
    return lines + (_said(event.node, "hint: ", event.hint, "yellow") if event.hint else [])


def skipped(event: NodeSkipped) -> Line:
    """Why the node did not run."""
    return Line(f"{event.node}: skipped: {visible(event.because)}", "dim")


def written(lines: Iterable[Line], *, coloured: bool = False) -> str:
    """The lines as text, each with its newline."""
    return "".join(f"{paint(line.text, line.style) if coloured else line.text}\n" for line in lines)


def _printed(node: str, text: str) -> Line:
    return Line(f"{node} | {visible(text)}".rstrip())


def _said(node: str, label: str, text: str, style: Style) -> list[Line]:
    """A message of one or more lines; those after the first are indented."""
    first, *rest = text.splitlines() or [""]
    return [
        Line(f"{node}: {label}{visible(first)}".rstrip(), style),
        *(Line(f"{node}:   {visible(line)}".rstrip(), style) for line in rest),
    ]


def _percent(done: int, total: int) -> int:
    return min(100, 100 * done // total)
