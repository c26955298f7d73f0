"""The words of an instruction: its name, its flags, and its arguments in each of the forms there are."""

from __future__ import annotations

import json
import re

from imgbake_dockerfile.go import SPACES, is_space, strip

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_QUOTES = "'\""


class BadWords(ValueError):
    """What is wrong with the words, what to write instead, and the word that is meant."""

    def __init__(self, message: str, hint: str = "", word: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.word = word


def split_instruction(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    """The instruction's name, its flags with quotes and escapes taken away, and the rest of the line."""
    name, *rest = _BLANKS.split(strip(line), maxsplit=1)
    if not rest:
        return name, (), ""
    # BuildKit reads flags byte by byte, so that a letter outside of ASCII becomes several, here too.
    flags, end = _flags(rest[0].encode("utf-8").decode("latin-1"), escape)
    return name, flags, strip(rest[0].encode("utf-8")[end:].decode("utf-8", "replace"))


def separated(rest: str) -> tuple[str, ...]:
    """Arguments between blanks. Quotes are part of them."""
    return tuple(_BLANKS.split(rest)) if rest else ()


def from_json(rest: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None when this is none. Raises BadWords when they aren't all strings."""
    rest = rest.lstrip(SPACES)
    if not rest.startswith("["):
        return None
    try:
        found = json.loads(rest, parse_constant=_refuse)
    except ValueError:
        return None
    except RecursionError:
        found = [None]
    if not all(isinstance(word, str) for word in found):
        raise BadWords("a JSON array holds strings only here", 'write ["one", "two"], with double quotes')
    return tuple(word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in found)


def quoted(rest: str, escape: str) -> list[str]:
    """Arguments between spaces, where quotes hold one together. Quotes and escapes are kept.

    The `escape` before a space keeps it in the word; inside of single quotes nothing escapes.
    """
    words: list[str] = []
    word, quote, place = "", "", 0
    while place < len(rest):
        char = rest[place]
        place += 1
        if not quote and is_space(char):
            if word:
                words.append(word)
            word = ""
            continue
        if char == quote:
            quote = ""
        elif char == escape and quote != "'":
            if place == len(rest):
                break  # one at the end is no character
            char += rest[place]
            place += 1
        elif not quote and char in _QUOTES:
            quote = char
        word += char
    return [*words, word] if word else words


def pairs(name: str, rest: str, escape: str) -> tuple[tuple[str, str], ...]:
    """What ENV and LABEL set: `key=value …`, or one pair as `key value`. Raises BadWords."""
    words = quoted(rest, escape)
    if not words:
        return ()
    if "=" not in words[0]:
        key, *value = _BLANKS.split(rest, maxsplit=1)
        if not value:
            raise BadWords(f"{name} needs a value for {key}", f'write {name} {key}="…"', key)
        return ((key, value[0]),)
    for word in words:
        if "=" not in word:
            hint = "put a value with spaces into double quotes"
            raise BadWords(f"'{word}' is no `name=value`", hint, word)
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words))


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _flags(rest: str, escape: str) -> tuple[tuple[str, ...], int]:
    """The flags at the start, and where they end. A `--` alone ends them too, and is not one."""
    flags: list[str] = []
    place = 0
    while True:
        while place < len(rest) and rest[place] in "\t\n\v\f\r \x85\xa0":
            place += 1
        if not rest.startswith("--", place):
            return tuple(flags), place
        flag, place = _flag(rest, place, escape)
        if flag == "--":
            return tuple(flags), place
        flags.append(flag)


def _flag(rest: str, place: int, escape: str) -> tuple[str, int]:
    flag, quote = "", ""
    while place < len(rest):
        char = rest[place]
        if not quote and char in "\t\n\v\f\r \x85\xa0":
            break
        place += 1
        if char == quote:
            quote = ""
            continue
        if not quote and char in _QUOTES:
            quote = char
            continue
        if char == escape:
            if place == len(rest):
                break  # one at the end is no character
            char = rest[place]
            place += 1
        flag += char
    return flag, place
