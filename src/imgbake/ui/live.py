"""Progress on a terminal: what runs now at the bottom, what is done scrolling away above it.

The engine's thread only takes notes. A thread of ours draws a frame eight times a second, whatever
is new above it included, in one write: a slow terminal doesn't slow the build, and nothing flickers.
rich is imported by that thread for its first frame, so a build that is over sooner never loads it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from imgbake.events import (
    INTERRUPTED,
    BuildFinished,
    Event,
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeSkipped,
    NodeStarted,
)
from imgbake.ui import colours, wording
from imgbake.ui.frame import Frame
from imgbake.ui.lines import Lines
from imgbake.ui.summary import Summary
from imgbake.ui.wording import Line

if TYPE_CHECKING:
    from imgbake.ui.canvas import Canvas

_INTERVAL = 1 / 8  # seconds between two frames


class LiveView:
    """A frame of running nodes that is redrawn in place until the build ends or `close` is called."""

    wants_cached = True

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._lines = Lines(stream)
        self._environ = environ
        self._coloured = colours.wanted(stream, environ)
        self._frame = Frame(time.monotonic)
        self._summary = Summary()
        self._above: list[Line] = []  # lines to print above the next frame
        self._lock = threading.Lock()  # guards the three above
        self._ended = threading.Event()
        self._painter: threading.Thread | None = None
        self._canvas: Canvas | None = None  # the painter's, and `close`'s once the painter is gone

    def on(self, event: Event) -> None:
        """Takes note of the event; the end of the build is shown before this returns."""
        with self._lock:
            self._summary.on(event)
            self._frame.on(event)
            self._above += self._said(event)
        if isinstance(event, NodeStarted) and self._painter is None:
            self._painter = threading.Thread(target=self._paint, name="live view", daemon=True)
            self._painter.start()
        elif isinstance(event, BuildFinished):
            self.close()

    def close(self) -> None:
        """Takes the frame away, prints what is left and shows the cursor again."""
        self._ended.set()
        try:
            if self._painter is not None:
                self._painter.join()
        finally:
            if self._canvas is not None:
                self._canvas.close()
            self._print_rest()

    def _said(self, event: Event) -> list[Line]:
        match event:
            case NodeFinished():
                return [] if event.outcome == "cached" else [wording.finished(event)]
            case NodeFailed():
                return wording.failed(event)
            case NodeNote():
                return wording.note(event)
            case NodeSkipped():
                return [wording.skipped(event)] if event.because == INTERRUPTED else []
            case NodeStarted():
                return [wording.started(event)] if event.attempt > 1 else []
            case BuildFinished():
                return self._summary.lines(event)
        return []

    def _paint(self) -> None:
        while not self._ended.wait(_INTERVAL):
            if self._canvas is None:
                from imgbake.ui.canvas import Canvas

                self._canvas = Canvas(self._lines, self._environ)
            self._draw(self._canvas)

    def _draw(self, canvas: Canvas) -> None:
        width, height = canvas.size
        with self._lock:
            above, self._above = self._above, []
            frame = self._frame.rows(width, height)
        canvas.draw(above, frame)

    def _print_rest(self) -> None:
        with self._lock:
            rest, self._above = self._above, []
        self._lines.write(wording.written(rest, coloured=self._coloured))
