"""Secret arguments: put in at the moment of use, masked wherever text is printed or kept.

Until it is used a secret is the text `{{ name }}`. Passwords inside URLs are treated alike when text
is printed, whoever wrote them there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from imgbake.errors import BakeError

MASK = "***"
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*\}\}")
_URL_PASSWORD = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@'\"]*):[^\s/?#@'\"]+@")
_SHORTEST_LINE = 4  # a shorter line of a secret of several lines says nothing alone


class Secrets:
    """The secrets of one run, by argument name. `missing` are those that nobody gave."""

    def __init__(self, values: Mapping[str, str], missing: Collection[str] = ()) -> None:
        self._values = dict(values)
        self.missing = frozenset(missing)
        self._pattern = _pattern(self._values.values())

    def reveal(self, text: str) -> str:
        """The text with every secret put in. Raises BakeError for one that is missing."""
        return _REFERENCE.sub(self._value, text) if "{{" in text else text

    def _value(self, match: re.Match[str]) -> str:
        if match[1] in self.missing:
            raise BakeError(f"missing argument '{match[1]}'", hint=f"give --arg {match[1]}=VALUE")
        return self._values.get(match[1], match[0])

    def mask(self, text: str) -> str:
        """The text as it may be shown: without secrets and without passwords in URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return without_passwords(text)


def without_passwords(text: str) -> str:
    """The text with the password of every URL in it left out."""
    return _URL_PASSWORD.sub(r"\1@", text) if "://" in text else text


def _pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    forms = {form for value in values for form in _forms(value)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _forms(value: str) -> set[str]:
    """The ways in which a secret can stand in text: plain, line by line, in a URL, in base64."""
    import base64
    from urllib.parse import quote

    if not value:
        return set()
    lines = {line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE}
    encoded = base64.b64encode(value.encode()).decode()
    return {value, quote(value, safe=""), encoded, *lines}
