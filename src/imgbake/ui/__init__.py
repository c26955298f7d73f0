"""What a person or a program sees of a build. Screens write to stderr; stdout belongs to results.

Nothing heavy is imported here: a screen is loaded when it is chosen, and rich only when a live view
is really drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TextIO

from imgbake.events import Observer
from imgbake.ui import colours

Mode = Literal["auto", "tty", "plain", "json", "quiet"]


class Screen(Observer, Protocol):
    """An observer that may hold the terminal and gives it back."""

    wants_cached: bool  # should it see a NodeFinished for each node that was cached?

    def close(self) -> None:
        """Gives the terminal back. Safe at any moment and more than once."""


def for_progress(mode: Mode, stream: TextIO, environ: Mapping[str, str]) -> Screen:
    """The screen for a `--progress` mode, which writes to `stream`.

    "auto" is a live view on a terminal, unless NO_COLOR or CI is set, and plain lines elsewhere.
    "tty" insists on the live view, but no view can be drawn on what is no terminal or a dumb one.
    """
    if mode == "json":
        from imgbake.ui.json_lines import JsonLines

        return JsonLines(stream)
    if mode == "quiet":
        from imgbake.ui.quiet import Quiet

        return Quiet(stream)
    if mode != "plain" and _can_redraw(stream, environ) and (mode == "tty" or _may_redraw(environ)):
        from imgbake.ui.live import LiveView

        return LiveView(stream, environ)
    from imgbake.ui.plain import Plain

    return Plain(stream)


def _can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def _may_redraw(environ: Mapping[str, str]) -> bool:
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    return not in_ci and not colours.unwanted(environ)
