"""Regular expressions of Go as Python's, as far as patterns of files need them."""

from __future__ import annotations

import re

_SETS = {"d": "0-9", "s": "\\t\\n\\f\\r ", "w": "0-9A-Za-z_"}
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PLACES = {"A": "\\A", "z": "\\Z", "b": "\\b", "B": "\\B"}
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_OPERATORS = "().*?^|"
_REPEAT = re.compile(r"\{(?:0|[1-9]\d{0,3})(?:,(?:0|[1-9]\d{0,3})?)?\}")


class BadRegex(ValueError):
    """What Go refuses, or what isn't understood here."""


def translated(regex: str) -> re.Pattern[str]:
    """The same in Python. Raises BadRegex."""
    result, place = "", 0
    while place < len(regex):
        char = regex[place]
        if char == "[":
            piece, place = _set(regex, place + 1)
        elif char == "\\":
            piece, place = _escape(regex[place + 1 : place + 2]), place + 2
        elif repeat := _REPEAT.match(regex, place):
            piece, place = repeat[0], repeat.end()
        elif char == "$":
            piece, place = "\\Z", place + 1
        else:
            piece, place = char if char in _OPERATORS else re.escape(char), place + 1
        result += piece
    try:
        return re.compile(result, re.ASCII)
    except re.error as error:
        raise BadRegex(str(error)) from None


def _escape(char: str) -> str:
    if char in _PLACES:
        return _PLACES[char]
    if char.lower() in _SETS:
        return f"[{'^' * char.isupper()}{_SETS[char.lower()]}]"
    return re.escape(_escaped(char))


def _escaped(char: str) -> str:
    """The one character that an escape stands for."""
    if char in _CONTROL:
        return _CONTROL[char]
    if not char or char.isalnum() or not char.isascii():
        raise BadRegex(f"'\\{char}' is no escape")
    return char


def _set(regex: str, place: int) -> tuple[str, int]:
    """A set, from behind its `[`, and the place behind its `]`."""
    negated = regex.startswith("^", place)
    place += negated
    start, items = place, ""
    while place == start or not regex.startswith("]", place):
        if place >= len(regex):
            raise BadRegex("a [ has no matching ]")
        item, place = _item(regex, place)
        items += item
    return f"[{'^' * negated}{items}]", place + 1


def _item(regex: str, place: int) -> tuple[str, int]:
    if regex.startswith("[:", place) and (end := regex.find(":]", place + 2)) >= 0:
        name = regex[place + 2 : end]
        if name not in _POSIX:
            raise BadRegex(f"'[:{name}:]' is no set of characters")
        return _POSIX[name], end + 2
    letter = regex[place + 1 : place + 2]
    if regex[place] == "\\" and letter and letter.lower() in _SETS:
        return (_SETS[letter] if letter in _SETS else "\\" + letter), place + 2
    low, place = _character(regex, place)
    high = low
    if regex.startswith("-", place) and regex[place + 1 : place + 2] not in ("", "]"):
        high, place = _character(regex, place + 1)
        if high < low:
            raise BadRegex(f"the range {low}-{high} is the wrong way around")
    return f"{re.escape(low)}-{re.escape(high)}", place


def _character(regex: str, place: int) -> tuple[str, int]:
    if regex[place] == "\\":
        return _escaped(regex[place + 1 : place + 2]), place + 2
    return regex[place], place + 1
