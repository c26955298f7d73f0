"""Which wait a server asks for."""

from __future__ import annotations

import email.utils
import time

import pytest

from imgbake_tasks.retry import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), ("7", 7), (" 0 ", 0), ("soon", None), ("-5", None), ("²", None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    soon = retry_after(email.utils.formatdate(time.time() + 100, usegmt=True))
    assert soon is not None and 95 < soon <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 99 Oct 2015 07:28:00 GMT") is None
