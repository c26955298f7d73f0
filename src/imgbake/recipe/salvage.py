"""What can still be read of a TOML text that is wrong: all tables but those in which tomllib stops."""

from __future__ import annotations

import re
from typing import Any

from imgbake.errors import Where
from imgbake.recipe.faults import Fault
from imgbake.recipe.location import last_key, offset
from imgbake.recipe.parsed import parse
from imgbake.recipe.syntax import explained

_MOST = 10  # each costs another parse
_HEADER_OR_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|'''.*?'''"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|^[ \t]*(?P<header>\[{1,2}[ \t]*[A-Za-z0-9_-]+[ \t]*(?:[.\]][^\n]*)?$)",
    re.DOTALL | re.MULTILINE,
)
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_DECLARED_TWICE = "Cannot declare"


def salvaged(
    file: str, text: str, error: ValueError | RecursionError, faults: list[Fault]
) -> tuple[str, dict[str, Any]]:
    """The text with blanks where it is wrong, and its tables. Adds a fault for each error of syntax.

    `error` is what tomllib has said of the text. After many errors, and after one that tells no place,
    nothing is left.
    """
    partial: list[list[str]] = []
    for _ in range(_MOST):
        fault = explained(file, text, error)
        faults.append(fault)
        if fault.where is None or not fault.where.line:
            break
        start, end = _table_around(text, _position(file, text, fault.where, error))
        if not str(error).startswith(_DECLARED_TWICE):  # then the first is whole
            partial.append([key.strip("\"'") for key in _KEY.findall(text[start:end].partition("\n")[0])])
        text = text[:start] + _blank(text[start:end]) + text[end:]
        try:
            table = parse(text, None)
        except (ValueError, RecursionError) as another:
            error = another
        else:
            return text, _without(table, partial)
    return "", {}


def _position(file: str, text: str, where: Where, error: Exception) -> int:
    """A position in the statement that is wrong: tomllib sees only later that an array isn't closed."""
    position = offset(text, where.line, where.column)
    begun = last_key(file, text[:position]) if str(error).startswith("Unclosed") else where
    return offset(text, begun.line, begun.column) if begun.line else position


def _table_around(text: str, position: int) -> tuple[int, int]:
    """Where the table that has this position begins and ends: from its header to before the next."""
    start, end = 0, len(text)
    for match in _HEADER_OR_TEXT.finditer(text):
        if match["header"] is None:
            continue
        if match.start() > position:
            end = match.start()
            break
        start = match.start()
    return start, end


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _without(table: dict[str, Any], partial: list[list[str]]) -> dict[str, Any]:
    """The tables without what other tables say of those left out, such as [tasks.a.env] of [tasks.a]."""
    for keys in partial:
        items = table.get(keys[0]) if len(keys) > 1 else None
        if isinstance(items, dict):
            items.pop(keys[1], None)
    return table
