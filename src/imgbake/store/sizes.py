"""How sizes and ages are written, and how large the store may grow."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from imgbake.errors import UsageError

DEFAULT_LIMIT = 20 * 10**9
_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE | re.ASCII)
_LARGEST = 1 << 62  # bytes: larger than any disk, and the store's index can still count it
_AGE = re.compile(r"(\d+)([mhdw])", re.ASCII)
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_OLDEST = 10**10  # seconds, 300 years: a date as far back as that is still one


def default_limit(environ: Mapping[str, str] = os.environ) -> int:
    """IMGBAKE_CACHE_SIZE in bytes, else 20 GB. Raises UsageError."""
    text = environ.get("IMGBAKE_CACHE_SIZE")
    return parse_size(text, "IMGBAKE_CACHE_SIZE") if text else DEFAULT_LIMIT


def parse_size(text: str, what: str = "the size") -> int:
    """The bytes in "20GB", "1.5 GiB", "500M" or "1000". Raises UsageError, naming `what` it is."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{what} can't be '{text}'", hint="write a number and a unit, such as 20GB or 500MiB"
        )
    number, unit = match.groups()
    return int(min(float(number) * _UNITS[(unit or "").lower()], _LARGEST))


def parse_age(text: str, what: str = "the age") -> float:
    """The seconds in "90m", "12h", "30d" or "4w". Raises UsageError, naming `what` it is."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{what} {text} is no time span", hint="write a number and m, h, d or w: 30d")
    number, unit = match.groups()
    return min(float(number) * _SECONDS[unit], _OLDEST)
