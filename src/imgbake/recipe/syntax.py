"""What tomllib says of a text that is no TOML, with its place and what to write instead."""

from __future__ import annotations

import re

from imgbake.errors import Where
from imgbake.recipe.faults import Fault
from imgbake.recipe.location import last_key, offset, place

_MESSAGE = re.compile(
    r"(?P<text>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_KEYS = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")

_HINTS = (
    ("Invalid value", 'text needs quotes: "..."; true and false are written small'),
    ("Expected '='", "write key = value"),
    ("Expected newline", "write each key on a line of its own, and text in quotes"),
    ("Invalid statement", "keys are written with letters, digits, '_' and '-', others in quotes"),
    ("Invalid initial character", "a table in braces stands on one line, without a comma at its end"),
    ("Found invalid character '\\n'", 'text of several lines is written in three quotes: """..."""'),
    ("Illegal character '\\n'", 'text of several lines is written in three quotes: """..."""'),
    ("Unescaped '\\'", r"write '...' around text with backslashes, or \\ for each of them"),
    ("Unterminated string", "the text's closing quotes are missing"),
    ('Expected "', "the text's closing quotes are missing"),
    ("Unclosed array", "items are separated by commas, and ']' ends the array"),
    ("Unclosed inline table", "'}' ends the table, which stands on one line"),
    ("Expected ']", "the name of a table stands in brackets: [tasks.build], names with blanks in quotes"),
)
_TWICE = ("Cannot declare", "Cannot overwrite", "Cannot redefine", "Cannot mutate", "Duplicate inline")


def explained(file: str, text: str, error: ValueError | RecursionError) -> Fault:
    """The fault of a text that tomllib has refused with this error."""
    if isinstance(error, RecursionError):
        return Fault(None, "arrays and tables are nested too deeply", where=Where(file))
    match = _MESSAGE.fullmatch(str(error))
    if match is None:  # an integer of thousands of digits
        return Fault(None, f"a value cannot be read: {error}", where=Where(file))
    message = match["text"]
    if message.startswith(_TWICE):
        return _twice(file, text, match)
    hint = next((hint for start, hint in _HINTS if message.startswith(start)), "")
    where = _where(file, text, match)
    if message.startswith("Unclosed") and match["line"]:
        message += _begun(file, text[: _offset(text, match)])
    return Fault(None, f"{message[:1].lower()}{message[1:]}", hint, where=where)


def _twice(file: str, text: str, match: re.Match[str]) -> Fault:
    keys = [first or second for first, second in _KEYS.findall(match["text"])]
    what = f"'{'.'.join(keys)}'" if keys else "a key"
    where = _where(file, text, match)
    statement = len(where.text) - len(where.text.lstrip())
    whole = Where(file, where.line, statement + 1, where.text, max(1, len(where.text.strip())))
    return Fault(None, f"{what} is defined twice", "put both into one, or rename one of them", where=whole)


def _where(file: str, text: str, match: re.Match[str]) -> Where:
    """The place that tomllib names; for "end of document", the last key before it."""
    if match["line"] is None:
        return last_key(file, text)
    start = _offset(text, match)
    return place(file, text, start, start + 1)


def _begun(file: str, before: str) -> str:
    """What the text before an error was in the middle of."""
    key = last_key(file, before)
    return f", which begins in line {key.line}" if key.line else ""


def _offset(text: str, match: re.Match[str]) -> int:
    return offset(text, int(match["line"]), int(match["column"]))
