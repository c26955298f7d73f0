"""Go's `filepath.Match`: what `*`, `?` and `[…]` in the sources of COPY and ADD stand for.

    *       any text without a slash
    ?       any one character but a slash
    [a-z]   one of these characters; `[^a-z]`, any other one. A slash is a character here
    \\*      the character itself

A pattern that is malformed matches nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WILD = re.compile(r"(?:[^\\*?\[]|\\.|\\\Z)*[*?\[]", re.DOTALL)


class BadPattern(ValueError):
    """A malformed pattern: a `[` without its `]`, or an escape of nothing."""


def is_wild(name: str) -> bool:
    """Does a wildcard stand in this that isn't escaped?"""
    return _WILD.match(name) is not None


def matches(pattern: str, path: str) -> bool:
    """Does the whole path match the pattern?"""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.fullmatch(path) is not None


def refuse_malformed(pattern: str, path: str) -> None:
    """Raises BadPattern where Go finds a mistake: only as far as it must look to match the path."""
    rest = path
    for starred, chunk in _chunks(pattern):
        regex = re.compile(_regex(chunk), re.DOTALL)
        starts = range(1 + (len(rest.partition("/")[0]) if starred else 0))
        found = next((match for start in starts if (match := regex.match(rest, start))), None)
        if found is None:
            return
        rest = rest[found.end() :]


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern; as in Go, the first place where something fits behind a star is never left again."""
    try:
        pieces = [(starred, _regex(chunk)) for starred, chunk in _chunks(pattern)]
    except BadPattern:
        return None
    first = [f"(?>[^/]*?{regex})" if starred else regex for starred, regex in pieces[:-1]]
    last = ["[^/]*" * starred + regex for starred, regex in pieces[-1:]]
    return re.compile("".join(first + last), re.DOTALL)


def _chunks(pattern: str) -> list[tuple[bool, str]]:
    """The pattern cut before each run of stars: was there one, and what follows it."""
    chunks: list[tuple[bool, str]] = []
    starred, chunk, inside, place = False, "", False, 0
    while place < len(pattern):
        char = pattern[place]
        if char == "*" and not inside:
            if chunk:
                chunks.append((starred, chunk))
            starred, chunk = True, ""
        else:
            inside = char == "[" or (inside and char != "]")
            if char == "\\":
                place += 1
                char += pattern[place : place + 1]
            chunk += char
        place += 1
    return [*chunks, (starred, chunk)] if chunk or starred else chunks


def _regex(chunk: str) -> str:
    """A regular expression for a chunk. Raises BadPattern."""
    regex, place = "", 0
    while place < len(chunk):
        char = chunk[place]
        place += 1
        if char == "[":
            one, place = _set(chunk, place)
            regex += one
        elif char == "?":
            regex += "[^/]"
        elif char == "\\":
            if place == len(chunk):
                raise BadPattern("a \\ at the end escapes nothing")
            regex += re.escape(chunk[place])
            place += 1
        else:
            regex += re.escape(char)
    return regex


def _set(chunk: str, place: int) -> tuple[str, int]:
    """The characters of a `[…]`, whose `[` is before the place, and the place after it."""
    negated = chunk.startswith("^", place)
    place += negated
    ranges = ""
    while not (ranges and chunk.startswith("]", place)):
        low, place = _character(chunk, place)
        high = low
        if chunk[place] == "-":
            high, place = _character(chunk, place + 1)
        if low <= high:
            ranges += f"{re.escape(low)}-{re.escape(high)}"
        else:
            ranges = ranges or "\0-\0"  # such a range holds nothing; and no name holds a NUL
    return f"[{'^' * negated}{ranges}]", place + 1


def _character(chunk: str, place: int) -> tuple[str, int]:
    """A character of a set, perhaps escaped. More must follow: at least the set's end."""
    char = chunk[place : place + 1]
    if char == "\\":
        place += 1
        char = chunk[place : place + 1]
    elif char in ("-", "]"):
        char = ""
    if not char or place + 1 >= len(chunk):
        raise BadPattern("a [ has no matching ]")
    return char, place + 1
