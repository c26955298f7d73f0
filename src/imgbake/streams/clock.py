"""The time, as documents have it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The time to the second: more would only make documents harder to read."""
    return datetime.now(UTC).replace(microsecond=0)
