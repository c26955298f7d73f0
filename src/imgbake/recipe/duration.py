"""Durations in a recipe: a number of seconds, or text such as "90s", "5m", "1h30m"."""

from __future__ import annotations

import math
import re

_DURATION = re.compile(r"(?=.)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_HOUR, _MINUTE = 3600, 60
_FOREVER = 1e9  # 30 years: longer waits overflow the clocks of some systems


def seconds(value: float | str) -> float | None:
    """The duration in seconds; None when it is none, or is negative or not finite."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            return None
        hours, minutes, rest = (float(part or 0) for part in match.groups())
        value = hours * _HOUR + minutes * _MINUTE + rest
    return float(value) if 0 <= value < _FOREVER and math.isfinite(value) else None
