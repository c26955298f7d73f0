"""What patterns match, where they look, and whether two of them can meet."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.files import glob
from imgbake.files.glob import Matcher, is_literal, normal, overlaps, static_prefix


@pytest.mark.parametrize(
    ("pattern", "path", "meant"),
    [
        ("src", "src", True),
        ("src", "src/a/b", True),
        ("src", "srcs", False),
        ("./src/", "src/a", True),
        ("src/", "src", False),
        ("a/../b", "b/c", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/.py", True),
        ("src/*.py", "src/b/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/b/c/a.py", True),
        ("src/**", "src/b/c", True),
        ("src/**", "src", False),
        ("**", ".hidden", True),
        ("*", ".gitignore", True),
        ("*", "a/b", False),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("?.c", "a.c", True),
        ("?.c", ".c", False),
        ("[a-c]x", "bx", True),
        ("[!a-c]x", "bx", False),
        ("[^a-c]x", "dx", True),
        ("[]]x", "]x", True),
        ("[!]]x", "]x", False),
        ("[a", "[a", True),
        ("[z-a]", "z", False),
        ("a[/]b", "a/b", False),
        ("[*]", "*", True),
        ("[*]", "x", False),
        ("a.c", "abc", False),
        ("v/*/", "v/a/b", True),
        ("v/*/", "v/a", False),
        ("../x/*.h", "../x/a.h", True),
        ("**/x y+(z)", "a/x y+(z)", True),
        ("**", "a\nb", True),
        # What no wildcard matches.
        ("**", ".git/config", False),
        ("**", "sub/.git", False),
        ("*", ".git", False),
        (".", ".imgbake/x", False),
        (".", "a/.imgbake/x", False),
        ("src", "src/.git/config", False),
        ("**/*.txt", "a/.imgbake/x.txt", False),
        (".git", ".git/config", True),
        (".git/**", ".git/a/b", True),
        ("**/.git/config", "x/.git/config", True),
        ("**", ".github/x", True),
        ("**", "x.git/x", True),
    ],
)
def test_what_a_pattern_means(pattern: str, path: str, meant: bool) -> None:
    assert Matcher([pattern]).file(path) is meant


@pytest.mark.parametrize(
    ("exclude", "path", "meant"),
    [
        ("node_modules", "node_modules/a/b", False),
        ("node_modules", "x/node_modules/a", True),
        ("**/node_modules", "x/node_modules/a", False),
        ("**/*.pyc", "a.pyc", False),
        ("**/*.pyc", "a/b.pyc", False),
        ("*.egg-info", "x.egg-info/PKG-INFO", False),
        ("a/", "a/b", False),
        ("a/b", "a/c", True),
        ("**", "x", False),
        (".", "x/y", False),
    ],
)
def test_what_is_excluded(exclude: str, path: str, meant: bool) -> None:
    assert Matcher(["."], [exclude]).file(path) is meant


@pytest.mark.parametrize(
    ("pattern", "folder", "leads"),
    [
        ("src/**/*.py", "src", True),
        ("src/**/*.py", "src/a/b", True),
        ("src/**/*.py", "doc", False),
        ("src/*.py", "src/a", False),
        ("src/*.py", ".", True),
        ("a/*/c/*.h", "a/b/c", True),
        ("a/*/c/*.h", "a/b/d", False),
        ("a/*/c/*.h", "a/.git", False),
        ("**/x", "q/r", True),
        ("**/x", ".git", False),
        ("**/.git/x", "a/.git", True),
    ],
)
def test_where_a_pattern_looks(pattern: str, folder: str, leads: bool) -> None:
    assert Matcher([pattern]).leads(folder) is leads


def test_literals_and_prefixes() -> None:
    assert is_literal("a/b.c")
    assert not any(map(is_literal, ["*", "a?", "[a]"]))
    assert [static_prefix(p) for p in ["a/b*/c", "*", "/a*", "x/", "a/b", "/", "a/b/**"]] == [
        "a", ".", "/", "x", "a/b", "/", "a/b",
    ]  # fmt: skip
    assert [normal(p) for p in ["./a", "a//b/", ".", "./", "a/./b"]] == ["a", "a/b/", ".", ".", "a/b"]
    assert glob.starts(["a/b", "a", "ab", "c/d"]) == ("a", "ab", "c/d")
    assert glob.starts(["a", ".", "../x", "/y"]) == (".", "/y", "../x")


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a", "a", True),
        ("a", "./a", True),
        ("a", "b", False),
        ("a", "a/b", True),
        ("a/b", "a/c", False),
        ("a", "ab", False),
        ("a/*.c", "a/x.c", True),
        ("a/*.c", "a/x.h", False),
        ("a/*.c", "a/x*", True),
        ("a/*.c", "a/*.h", False),
        ("a/*.c", "a", True),
        ("**/*.c", "x/y.c", True),
        ("**/*.c", "x/y", True),  # y may be a folder
        ("**", "q", True),
        ("a/**", "b/**", False),
        ("a/*", "a/b/c", False),
        ("a/*/", "a/b/c", True),
        ("*/b", "a/*", True),
        ("dist/*", "dist", True),
        ("**", ".git/x", False),
        ("*.c", ".", True),
        ("[ab]", "a", True),
        ("[ab]", "c", False),
        ("a*b", "*c", False),
        ("a*", "*a", True),
        ("**/a/**", "b/*/c", True),
        ("**/a", "b/*/c", False),
        ("out-?.txt", "out-*.txt", True),
        ("out-??.txt", "out-1.txt", False),
    ],
)
def test_which_patterns_overlap(one: str, other: str, meet: bool) -> None:
    assert overlaps(one, other) is meet
    assert overlaps(other, one) is meet


NAMES = st.sampled_from(["a", "b", "ab", ".git", ".x", "a.c"])
WILD = st.sampled_from(["a", "b", "*", "**", "?", "a*", "*b", "[ab]", ".git", "[!a]", "*.c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.tuples(st.lists(WILD, min_size=1, max_size=4).map("/".join), st.sampled_from(["", "/"])).map(
    "".join
)


@given(PATTERNS, PATTERNS, PATHS)
def test_patterns_that_match_one_path_overlap(one: str, other: str, path: str) -> None:
    if Matcher([one]).file(path) and Matcher([other]).file(path):
        assert overlaps(one, other)


@given(PATTERNS, PATHS)
def test_what_is_meant_can_be_found(pattern: str, path: str) -> None:
    """Every folder on the way to a path that is meant leads there, and it lies below the prefix."""
    matcher = Matcher([pattern])
    if matcher.file(path):
        parents = [str(folder) for folder in Path(path).parents]
        prefix = static_prefix(pattern)
        assert prefix == "." or path == prefix or path.startswith(prefix + "/")
        assert all(matcher.leads(folder) for folder in parents)


@given(st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=2), PATHS)
def test_many_patterns_are_each_of_them(patterns: list[str], exclude: list[str], path: str) -> None:
    each = any(Matcher([pattern]).file(path) for pattern in patterns)
    gone = any(Matcher([], [pattern]).excluded(path) for pattern in exclude)
    assert Matcher(patterns, exclude).file(path) is (each and not gone)


@given(st.text("ab*?[]!-.", min_size=1, max_size=8), st.text("ab.-[]!", min_size=1, max_size=5))
def test_one_name_matches_as_in_a_shell(pattern: str, name: str) -> None:
    if pattern in (".", "..", "**") or name in (".", ".."):
        return
    assert Matcher([pattern]).file(name) is fnmatch.fnmatchcase(name, pattern)


@given(st.text("ab*?[]!-^./", max_size=12), st.text("ab*?[]!-^./", max_size=12), st.text("ab./", max_size=8))
def test_any_text_is_a_pattern(one: str, other: str, path: str) -> None:
    matcher = Matcher([one], [other])
    matcher.file(path)
    matcher.leads(path)
    assert overlaps(one, other) in (True, False)
