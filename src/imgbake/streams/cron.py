"""When something is due that is written as cron writes it: minute, hour, day of the month, month, weekday.

`*`, numbers, ranges, lists and steps, names of months and weekdays, and `@hourly`, `@daily`, `@weekly`,
`@monthly`, `@yearly`. As crontab(5) has it: if both kinds of day are limited, either is enough. In UTC.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import NamedTuple

_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
_FARTHEST = 8 * 366  # days, in which every 29 February comes by


class Times(NamedTuple):
    """When something is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 and 7 are Sunday
    is_either: bool  # is one of the two kinds of day enough?

    def after(self, moment: datetime) -> datetime | None:
        """The first time after this one; None when there is none, such as 30 February."""
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(_FARTHEST):
            if self._is_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = day.replace(hour=hour, minute=minute)
                        if found > moment:
                            return found
            day += timedelta(days=1)
        return None

    def _is_on(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        kinds = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        return any(kinds) if self.is_either else all(kinds)


def parse(text: str) -> Times:
    """Takes it apart. Raises ValueError, which says what is wrong, when it is none."""
    fields = _SHORT.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError('it has five fields, as in "0 3 * * 1-5"')
    found = [_values(field, *kind) for field, kind in zip(fields, _FIELDS, strict=True)]
    weekdays = frozenset(number % 7 for number in found[4])
    is_either = not fields[2].startswith("*") and not fields[4].startswith("*")
    times = Times(found[0], found[1], found[2], found[3], weekdays, is_either)
    if times.after(datetime(2024, 1, 1)) is None:  # any day will do
        raise ValueError("there is no such day")
    return times


def _values(field: str, name: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in field.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high
        else:
            start = _number(first, name, words)
            end = _number(last, name, words) if dash else (high if slash else start)
        every = _number(step, name, {}) if slash else 1
        if not (low <= start <= end <= high) or every < 1:
            raise ValueError(f"'{part}' is no {name}: from {low} to {high}")
        values.update(range(start, end + 1, every))
    return frozenset(values)


def _number(text: str, name: str, words: dict[str, int]) -> int:
    if text in words:
        return words[text]
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ValueError(f"'{text}' is no {name}")
    return int(text)
