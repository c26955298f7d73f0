"""Colours without a library: a few words, and when they may be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TextIO

Style = Literal["", "bold", "dim", "red", "green", "yellow"]

_CODES: dict[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}


def wanted(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """May text for this stream be coloured? Only on a terminal that knows how, and not under NO_COLOR."""
    return stream.isatty() and environ.get("TERM") != "dumb" and not unwanted(environ)


def unwanted(environ: Mapping[str, str]) -> bool:
    """Did the user say no to colours? (https://no-color.org: set, and not empty)"""
    return bool(environ.get("NO_COLOR"))


def paint(text: str, style: Style) -> str:
    """The text in a style, as a terminal understands it (ECMA-48, SGR)."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text
