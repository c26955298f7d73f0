"""What a WWW-Authenticate header asks for (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf"\s*({_TOKEN})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|({_TOKEN}))\s*")
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|(?=,)|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?:,|$)")


class Challenge(msgspec.Struct, frozen=True):
    """A scheme, in lower case, and its parameters, their names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge of these headers, in order; what is not well-formed is left out."""
    return [challenge for header in headers for challenge in _parse_one(header)]


def _parse_one(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    place = 0
    while match := _SCHEME.match(header, place):
        place, parameters = _parameters(header, match.end())
        found.append(Challenge(match[1].lower(), parameters))
    return found


def _parameters(header: str, place: int) -> tuple[int, dict[str, str]]:
    """The parameters from a place on, and where the next challenge may start."""
    parameters: dict[str, str] = {}
    if bare := _TOKEN68.match(header, place):
        return bare.end(), parameters
    while match := _PARAMETER.match(header, place):
        quoted, plain = match[2], match[3]
        parameters[match[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        place = match.end()
        if not header.startswith(",", place):
            break
        place += 1
    return place, parameters
