"""Go's wildcards in the sources of COPY and ADD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake_dockerfile import wildcards


@pytest.mark.parametrize(
    ("pattern", "path", "matched"),
    [
        ("*", "a", True),
        ("*", ".a", True),
        ("*", "a/b", False),
        ("**", "a/b", False),
        ("a*c", "abbc", True),
        ("a*/c", "ab/c", True),
        ("?", "é", True),
        ("?", "/", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[\\]]", "]", True),
        ("[^a]", "/", True),
        ("\\*", "*", True),
        ("\\a", "a", True),
        ("[z-a]", "b", False),
        ("[", "[", False),
        ("[a", "a", False),
        ("[]a]", "]", False),
        ("[-a]", "-", False),
        ("a\\", "a\\", False),
        ("", "", True),
    ],
)
def test_matches(pattern: str, path: str, matched: bool) -> None:
    assert wildcards.matches(pattern, path) is matched


@pytest.mark.parametrize(
    ("name", "wild"),
    [("a*", True), ("?", True), ("[a]", True), ("\\*", False), ("\\\\*", True), ("a\\", False), ("]", False)],
)
def test_is_wild(name: str, wild: bool) -> None:
    assert wildcards.is_wild(name) is wild


@given(st.text("ab*?[]^-\\/é", max_size=10), st.text("ab/é]-^", max_size=6))
def test_no_pattern_is_a_bug(pattern: str, path: str) -> None:
    matched = wildcards.matches(pattern, path)
    if not wildcards.is_wild(pattern) and "\\" not in pattern:
        assert matched is (pattern == path)
