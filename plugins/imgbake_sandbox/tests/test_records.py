"""The records of specs and reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake_sandbox import records

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
lists = st.lists(st.lists(words, min_size=1).map(tuple))


@given(lists)
def test_what_was_written_is_read(found: list[tuple[str, ...]]) -> None:
    assert records.decode(records.encode(found)) == found


@given(lists, st.integers(min_value=0))
def test_half_a_record_is_none(found: list[tuple[str, ...]], cut: int) -> None:
    data = records.encode(found)
    read = records.decode(data[: cut % (len(data) + 1)])
    assert read == found[: len(read)]


def test_names_that_are_no_text_are_kept() -> None:
    path = b"/caf\xe9".decode("utf-8", "surrogateescape")
    assert records.decode(records.encode([("lower", path)])) == [("lower", path)]


def test_zero_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="a zero byte in env"):
        records.encode([("env", "A", "\0")])
