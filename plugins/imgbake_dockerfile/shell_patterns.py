"""Patterns of `${name#pattern}` and its kin: `*` is any text, `?` any one character, `\\` escapes those.

POSIX shell, 2.13, without `[…]`.
"""

from __future__ import annotations

import re


class BadPattern(ValueError):
    """The pattern can't be read."""


def without_prefix(value: str, pattern: str, longest: bool) -> str:
    """The value without the shortest, or longest, start that matches."""
    match = _compiled(pattern, longest).match(value)
    return value[match.end() :] if match else value


def without_suffix(value: str, pattern: str, longest: bool) -> str:
    """The value without the shortest, or longest, end that matches."""
    # No regular expression finds the shortest match at the end; read backwards, it is at the start.
    return without_prefix(value[::-1], _backwards(pattern), longest)[::-1]


def replaced(value: str, pattern: str, replacement: str, everywhere: bool) -> str:
    """The value with the first match, or every one, replaced."""
    compiled = _compiled(pattern, longest=True)
    if everywhere:
        return _replaced_everywhere(value, compiled, replacement)
    match = compiled.search(value)
    return value[: match.start()] + replacement + value[match.end() :] if match else value


def _compiled(pattern: str, longest: bool) -> re.Pattern[str]:
    regex, chars = "", iter(pattern)
    for char in chars:
        if char == "*":
            regex += ".*" if longest else ".*?"
        elif char == "?":
            regex += "."
        elif char == "\\":
            escaped = next(chars, "")
            # `/` and `}` end a part of ${…}, so they are escaped for that, and not for the pattern.
            if not escaped or escaped not in "*?\\/}":
                raise BadPattern(f"'\\{escaped}' is no escape in a pattern")
            regex += re.escape(escaped)
        else:
            regex += re.escape(char)
    return re.compile(regex)


def _backwards(pattern: str) -> str:
    """The pattern read from its end, with each escape still before what it escapes."""
    return "".join(reversed(re.findall(r"\\.|.", pattern, re.DOTALL)))


def _replaced_everywhere(value: str, pattern: re.Pattern[str], replacement: str) -> str:
    """As Go's `ReplaceAllString`: no empty match directly behind another match, and `$` is special."""
    result, done, start = "", 0, 0
    while start <= len(value) and (match := pattern.search(value, start)):
        result += value[done : match.start()]
        if match.end() > done or match.start() == 0:
            result += _filled_in(replacement, match[0])
        done = match.end()
        start = max(done, start + 1)
    return result + value[done:]


def _filled_in(replacement: str, found: str) -> str:
    """A Go template: `$0` is what was found, other groups are empty, `$$` is a `$`."""

    def group(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return found if (match[2] or match[3]) == "0" else ""

    return re.sub(r"\$(?:(\$)|(\w+)|\{(\w+)\})", group, replacement)
