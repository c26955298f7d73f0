"""Patterns of .dockerignore, --exclude and --parents, as moby's patternmatcher matches them.

    *       any text without a slash; `?` one character but a slash, `[a-z]` one of these characters
    **      any number of folders, also none; in the end, everything
    !name   an exception: what matched before and matches this doesn't match after all

The last pattern that matches decides. What matches takes with it what is below it; but an exception
is not looked at for a folder that doesn't match, and so says nothing of what is below that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from imgbake_dockerfile import wildcards
from imgbake_dockerfile.go import clean, strip
from imgbake_dockerfile.go_regex import BadRegex, translated

# What stands for itself in a pattern, but not in a regular expression. moby means to escape `|`, `{` and
# `}` too, and doesn't: so `a|b*` is whatever starts with a, and whatever ends in a b and a name.
_ESCAPED = ".+()$"


class BadPattern(ValueError):
    """A pattern that can't be read."""


class Pattern:
    """One pattern, without its `!`, and the cheapest way to match it: one of the four is set."""

    def __init__(self, text: str) -> None:
        self.is_exception = text.startswith("!")
        self.text = text[self.is_exception :]
        if not self.text:
            raise BadPattern("'!' excepts nothing: write a pattern behind it")
        self.exact: str | None = None
        self.prefix: str | None = None
        self.suffix: str | None = None
        self.regex: re.Pattern[str] | None = None
        try:
            wildcards.refuse_malformed(self.text, ".")
            self._classify()
        except (wildcards.BadPattern, BadRegex) as error:
            raise BadPattern(f"the pattern '{text}' is malformed: {error}") from None
        self._lead = _lead(self.text)

    def may_match_below(self, folder: str) -> bool:
        """Can this match something below the folder, or the folder itself? It may say yes in error."""
        names = zip(self._lead, folder.split("/"), strict=False)
        return all(segment is None or wildcards.matches(segment, name) for segment, name in names)

    def _classify(self) -> None:
        kind, regex = _go_regex(self.text)
        if kind == "exact":
            self.exact = self.text
        elif kind == "prefix":
            self.prefix = self.text[:-2]
        elif kind == "suffix":
            self.suffix = self.text[2:]
        else:
            self.regex = translated(f"^{regex}$")


class Matcher:
    """Patterns in their order.

    A path is asked for after the folder that it is in, with what was remembered for that one; so each
    pattern is only tried where its answer can count.
    """

    TOP: tuple[bool, ...] = ()
    """What is remembered above all folders."""

    def __init__(self, patterns: Iterable[str]) -> None:
        cleaned = (clean(strip(pattern)) for pattern in patterns if strip(pattern))
        self.patterns = tuple(map(Pattern, cleaned))
        self._exceptions = tuple(pattern for pattern in self.patterns if pattern.is_exception)
        groups = groupby(self.patterns, key=lambda pattern: pattern.is_exception)
        self._groups = tuple(_Group(is_exception, tuple(group)) for is_exception, group in groups)

    def match(self, path: str, above: tuple[bool, ...]) -> tuple[bool, tuple[bool, ...]]:
        """Does the path match? And what to remember for what is below it."""
        matched = False
        remembered = []
        for place, group in enumerate(self._groups):
            found = bool(above) and above[place]
            if not found and group.is_exception == matched:
                found = group.matches(path)
            remembered.append(found)
            if found:
                matched = not group.is_exception
        return matched, tuple(remembered)

    def matches(self, path: str) -> bool:
        """Does the path match, itself or by a folder that it is in?"""
        matched, above = False, self.TOP
        names = path.split("/")
        for count in range(1, len(names) + 1):
            matched, above = self.match("/".join(names[:count]), above)
        return matched

    def may_except_below(self, folder: str) -> bool:
        """Can something below a folder that matches not match? It may say yes in error."""
        return any(pattern.may_match_below(folder) for pattern in self._exceptions)

    def may_match_below(self, folder: str) -> bool:
        """Can something below a folder that doesn't match? It may say yes in error."""
        return any(not pattern.is_exception and pattern.may_match_below(folder) for pattern in self.patterns)


class _Group:
    """Patterns that follow each other and say the same: if one matches, the others needn't be tried."""

    def __init__(self, is_exception: bool, patterns: Sequence[Pattern]) -> None:
        self.is_exception = is_exception
        exact = frozenset(pattern.exact for pattern in patterns if pattern.exact is not None)
        prefixes = tuple(pattern.prefix for pattern in patterns if pattern.prefix is not None)
        suffixes = tuple(pattern.suffix for pattern in patterns if pattern.suffix is not None)
        regexes = tuple(pattern.regex for pattern in patterns if pattern.regex is not None)
        self._tests: list[Callable[[str], object]] = []
        if exact:
            self._tests.append(exact.__contains__)
        if prefixes:
            self._tests.append(lambda path: path.startswith(prefixes))
        if suffixes:
            self._tests.append(lambda path: ("/" + path).endswith(suffixes))
        self._tests += [regex.search for regex in regexes]

    def matches(self, path: str) -> bool:
        """Does one of them match this very path?"""
        return any(test(path) for test in self._tests)


def _go_regex(text: str) -> tuple[str, str]:
    """How the pattern is matched, and the regular expression that moby makes of it."""
    kind, regex, place = "exact", "", 0
    while place < len(text):
        char = text[place]
        first = place == 0
        place += 1
        if char == "*" and text.startswith("*", place):
            place += 1
            place += text.startswith("/", place)
            if place < len(text):
                kind, regex = "regex", regex + "(.*/)?"
            elif kind == "exact":
                kind = "prefix"
            else:
                kind, regex = "regex", regex + ".*"
            kind = "suffix" if first else kind
        elif char in "*?":
            kind, regex = "regex", regex + ("[^/]*" if char == "*" else "[^/]")
        elif char in _ESCAPED:
            regex += "\\" + char
        elif char == "\\":
            kind = "regex" if place < len(text) else kind
            regex += "\\" + text[place : place + 1]
            place += 1
        else:
            kind = "regex" if char in "[]" else kind
            regex += char
    return kind, regex


def _lead(text: str) -> tuple[str | None, ...]:
    """The names of folders that the pattern starts with, until one that can be several; None is any."""
    if set(text) & set("|{"):  # not what they seem, see above
        return ()
    lead: list[str | None] = []
    for segment in text.split("/"):
        if "**" in segment:
            return tuple(lead)
        # Read as a regular expression, these mean other things than to a wildcard's eyes.
        lead.append(None if set(segment) & set("[\\^") else segment)
    return tuple(lead)
