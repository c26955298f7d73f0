"""Times as cron writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imgbake.streams.cron import parse

NOW = datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("* * * * *", "2026-01-01 12:31", "2026-01-01 12:32"),
        ("*/15 * * * *", "2026-01-01 12:45", "2026-01-01 13:00"),
        ("5-10/5 * * * *", "2026-01-01 13:05", "2026-01-01 13:10"),
        ("30 3 * * *", "2026-01-02 03:30", "2026-01-03 03:30"),
        ("0 0,12 * * *", "2026-01-02 00:00", "2026-01-02 12:00"),
        ("0 9 * * mon-fri", "2026-01-02 09:00", "2026-01-05 09:00"),
        ("0 9 * * 7", "2026-01-04 09:00", "2026-01-11 09:00"),
        ("0 9 * * 0", "2026-01-04 09:00", "2026-01-11 09:00"),
        ("0 0 13 * 5", "2026-01-02 00:00", "2026-01-09 00:00"),  # a 13th, or a Friday
        ("0 0 29 2 *", "2028-02-29 00:00", "2032-02-29 00:00"),
        ("0 0 1 jan,JUL *", "2026-07-01 00:00", "2027-01-01 00:00"),
        ("@daily", "2026-01-02 00:00", "2026-01-03 00:00"),
        ("@weekly", "2026-01-04 00:00", "2026-01-11 00:00"),
    ],
)
def test_when_it_is_due(text: str, first: str, second: str) -> None:
    times = parse(text)
    found = times.after(NOW)
    assert found is not None and found.strftime("%Y-%m-%d %H:%M") == first
    found = times.after(found)
    assert found is not None and found.strftime("%Y-%m-%d %H:%M") == second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has five fields"),
        ("* * * *", "it has five fields"),
        ("60 * * * *", "'60' is no minute: from 0 to 59"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * fri-mon", "'fri-mon' is no weekday"),
        ("*/0 * * * *", "'\\*/0' is no minute"),
        ("a * * * *", "'a' is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
        ("0 0 30 2 *", "there is no such day"),
        ("@noon", "it has five fields"),
    ],
)
def test_what_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
