"""Durations in a recipe."""

from __future__ import annotations

import math

import pytest

from imgbake.recipe.duration import seconds


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h1m1.5s", 3661.5),
        (0, 0),
        ("0s", 0),
    ],
)
def test_durations(written: float | str, meant: float) -> None:
    assert seconds(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "5", "5 m", "m", "-5s", "5s1m", "1d", -1, math.inf, math.nan, 10**400, "9" * 400 + "s", "٣s"],
)
def test_no_durations(written: float | str) -> None:
    assert seconds(written) is None
