"""The bottom of a terminal, redrawn in place by rich. Imported only when there is something to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, cast

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from imgbake.ui.lines import Lines
from imgbake.ui.wording import Line


class Canvas:
    """A frame at the bottom of the screen, and lines that scroll away above it."""

    def __init__(self, lines: Lines, environ: Mapping[str, str]) -> None:
        self._console = Console(
            file=cast(IO[str], lines),  # of a file rich needs no more than Lines has
            _environ=environ,
            force_terminal=True,
            force_interactive=True,
            highlight=False,
            legacy_windows=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._drawn: list[int] = []  # columns of each row of the frame that is on the screen
        self._live.start()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal, as they are now."""
        width, height = self._console.size
        return width, height

    def draw(self, above: Sequence[Line], frame: Sequence[Line]) -> None:
        """Shows a frame in place of the last one, and lines above it, in one write."""
        with self._console:
            self._unwrap()
            if above:
                self._console.print(_text(above), soft_wrap=True)
            self._live.update(_text(frame, no_wrap=True), refresh=True)
        self._drawn = [cell_len(line.text) for line in frame]

    def close(self) -> None:
        """Takes the frame away and shows the cursor. Safe more than once."""
        with self._console:
            self._unwrap()
            self._live.stop()

    def _unwrap(self) -> None:
        """Erases what a narrowed terminal has wrapped the frame into more rows than rich knows of."""
        width = max(1, self._console.width)
        extra = sum((columns - 1) // width for columns in self._drawn if columns)
        erase = (ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        self._console.control(Control(*erase * extra))
        self._drawn = []


def _text(lines: Sequence[Line], no_wrap: bool = False) -> Text:
    text = Text(no_wrap=no_wrap, overflow="crop" if no_wrap else None)
    for number, line in enumerate(lines):
        text.append("\n" if number else "").append(line.text, line.style or None)
    return text
