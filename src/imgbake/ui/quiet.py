"""Errors only."""

from __future__ import annotations

from typing import TextIO

from imgbake.events import BuildFinished, Event, NodeFailed
from imgbake.ui import wording
from imgbake.ui.lines import Lines
from imgbake.ui.summary import Summary


class Quiet:
    """Says nothing of a build that succeeds; of another, each failure and the summary."""

    wants_cached = False

    def __init__(self, stream: TextIO) -> None:
        self._lines = Lines(stream)
        self._summary = Summary()

    def on(self, event: Event) -> None:
        """Writes failures."""
        if isinstance(event, NodeFailed):
            self._summary.on(event)
            self._lines.write(wording.written(wording.failed(event)))
        elif isinstance(event, BuildFinished) and (event.failed or event.interrupted):
            self._lines.write(wording.written(self._summary.lines(event)))

    def close(self) -> None:
        """Has nothing to give back."""
