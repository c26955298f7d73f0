"""Where a key of a TOML text stands: line, column and width. Used only when an error is shown.

tomllib keeps no positions, so the text is scanned a second time. The scanner expects what tomllib
has accepted (TOML 1.0) and checks nothing; what it cannot follow it leaves out, and an error is
then shown at the nearest table around it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from imgbake.errors import Where

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_VALUE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\r\n]*[^,\]}#\s]",
    re.DOTALL,
)


class _Span(NamedTuple):
    key: tuple[int, int]
    value: tuple[int, int] | None


def locate(file: str, text: str, path: Path, *, value: bool = False, piece: str = "") -> Where:
    """The place of the key at this path of a TOML text, or of the nearest table that has it.

    With `value`, the place of the key's value; with `piece`, that part of the value if it is there
    to be found. A path of which nothing is in the text gives only the file.
    """
    spans = _spans(text)
    exact = path in spans
    while path and path not in spans:
        path = path[:-1]
    if not path:
        return Where(file)
    span = spans[path]
    start, end = span.value if span.value and value and exact else span.key
    if piece and exact and span.value:
        found = text.find(piece, *span.value)
        start, end = (found, found + len(piece)) if found >= 0 else (start, end)
    return place(file, text, start, end)


def literal(text: str, path: Path) -> str | None:
    """The characters that a value is written with, such as `3.10`; None when it is not found."""
    span = _spans(text).get(path)
    return text[slice(*span.value)] if span and span.value else None


def last_key(file: str, text: str) -> Where:
    """The place of the last key of a text, which may break off after it."""
    keys = [span.key for span in _spans(text).values()]
    return place(file, text, *max(keys)) if keys else Where(file)


def offset(text: str, line: int, column: int) -> int:
    """How many characters of a text come before this place."""
    lines = text.split("\n")
    return sum(len(before) + 1 for before in lines[: line - 1]) + column - 1


def place(file: str, text: str, start: int, end: int) -> Where:
    """The place of these characters of a text; what goes on in the next line is cut off."""
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", start)
    line = text[first : last if last >= 0 else len(text)].rstrip("\r")
    column = min(start - first, len(line))
    width = max(1, min(end - first, len(line)) - column)
    shown = "".join(
        char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in line
    )
    return Where(file, text.count("\n", 0, start) + 1, column + 1, shown, width)


@lru_cache(maxsize=16)
def _spans(text: str) -> dict[Path, _Span]:
    scanner = _Scanner(text)
    with suppress(_LostError, RecursionError):  # what was found until then is better than nothing
        scanner.document()
    return scanner.spans


class _LostError(Exception):
    """The text is not what the scanner expects here."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.spans: dict[Path, _Span] = {}
        self._last: dict[Path, int] = {}  # index of the newest element of each array of tables

    def document(self) -> None:
        table: Path = ()
        while self._peek():
            if self.text.startswith("[", self.position):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        brackets = 2 if self.text.startswith("[[", self.position) else 1
        start = self.position
        self.position += brackets
        self._peek()
        path = self._keys((), of_array=brackets == 2)
        self._peek()
        self.position += brackets
        if brackets == 2:
            self._last[path] = self._last.get(path, -1) + 1
            path = (*path, self._last[path])
            self.spans[path] = _Span((start, self.position), None)
        return path

    def _pair(self, table: Path) -> None:
        path = self._keys(table)
        if self._peek() != "=":
            raise _LostError
        self.position += 1
        self._peek()
        self.spans[path] = _Span(self.spans[path].key, self._value(path))

    def _keys(self, table: Path, *, of_array: bool = False) -> Path:
        """Reads a dotted key, notes each of its names, and returns the path that it leads to."""
        path = table
        while True:
            match = _KEY.match(self.text, self.position)
            if match is None:
                raise _LostError
            self.position = match.end()
            path = (*path, _name(match[0]))
            self.spans.setdefault(path, _Span(match.span(), None))
            dot = _DOT.match(self.text, self.position)
            if dot is None and of_array:
                return path
            if path in self._last:
                path = (*path, self._last[path])
            if dot is None:
                return path
            self.position = dot.end()

    def _value(self, path: Path) -> tuple[int, int]:
        start = self.position
        opener = self.text[start : start + 1]
        if opener == "[":
            self._array(path)
        elif opener == "{":
            self._inline_table(path)
        else:
            match = _VALUE.match(self.text, start)
            if match is None:
                raise _LostError
            self.position = match.end()
        return start, self.position

    def _array(self, path: Path) -> None:
        self.position += 1
        index = 0
        while self._peek() not in ("]", ""):
            span = self._value((*path, index))
            self.spans[(*path, index)] = _Span(span, span)
            index += 1
            if self._peek() == ",":
                self.position += 1
        self.position += 1

    def _inline_table(self, path: Path) -> None:
        self.position += 1
        while self._peek() not in ("}", ""):
            self._pair(path)
            if self._peek() == ",":
                self.position += 1
        self.position += 1

    def _peek(self) -> str:
        """The next character that is not blank or a comment; empty at the end."""
        match = _BLANK.match(self.text, self.position)
        if match:
            self.position = match.end()
        return self.text[self.position : self.position + 1]


def _name(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    if "\\" not in key:
        return key[1:-1]
    import tomllib

    return str(tomllib.loads(f"key = {key}")["key"])
