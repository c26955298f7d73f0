"""Progress as lines, for logs and pipes: one for each happening, in words that stay the same."""

from __future__ import annotations

from collections import deque
from typing import TextIO

from imgbake.events import (
    BuildFinished,
    Event,
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeOutput,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui import wording
from imgbake.ui.lines import Lines
from imgbake.ui.summary import Summary
from imgbake.ui.wording import Line

_PROGRESS_EVERY = 10.0  # seconds between two lines about one node's progress
_REMEMBERED = 100  # printed lines, to know a failure's last lines when they have just been written


class Plain:
    """Writes lines as `wording` describes them. Nothing is said of cached nodes but their number."""

    wants_cached = False

    def __init__(self, stream: TextIO) -> None:
        self._lines = Lines(stream)
        self._summary = Summary()
        self._reported: dict[str, float] = {}  # node to the time of its start or last progress line
        self._printing = ""  # the node that printed last
        self._printed: deque[str] = deque(maxlen=_REMEMBERED)  # its last lines

    def on(self, event: Event) -> None:
        """Writes what is to be said of the event."""
        self._summary.on(event)
        self._lines.write(wording.written(self._said(event)))

    def close(self) -> None:
        """Has nothing to give back."""

    def _said(self, event: Event) -> list[Line]:
        match event:
            case NodeOutput():
                self._remember(event)
                return [wording.output(event)]
            case NodeStarted():
                self._reported[event.node] = event.time
                return [wording.started(event)]
            case NodeFinished():
                return [] if event.outcome == "cached" else [wording.finished(event)]
            case NodeFailed():
                return wording.failed(event, tail=not self._stands_above(event))
            case NodeProgress():
                return self._progress(event)
            case NodeNote():
                return wording.note(event)
            case NodeSkipped():
                return [wording.skipped(event)]
            case BuildFinished():
                return self._summary.lines(event)
        return []

    def _remember(self, event: NodeOutput) -> None:
        if self._printing != event.node:
            self._printing = event.node
            self._printed.clear()
        self._printed.append(event.line)

    def _stands_above(self, event: NodeFailed) -> bool:
        """Are the failed node's last lines the ones just written? Then they aren't repeated."""
        return self._printing == event.node and tuple(self._printed)[-len(event.tail) :] == event.tail

    def _progress(self, event: NodeProgress) -> list[Line]:
        if event.time - self._reported.setdefault(event.node, event.time) < _PROGRESS_EVERY:
            return []
        self._reported[event.node] = event.time
        return [wording.progress(event)]
