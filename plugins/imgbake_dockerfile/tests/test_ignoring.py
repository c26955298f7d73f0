"""Ignore files, and the patterns that moby matches by them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_dockerfile import DockerfileError, parse_ignore, read_ignore
from imgbake_dockerfile.patterns import BadPattern, Matcher


@pytest.mark.parametrize(
    ("patterns", "path", "matched"),
    [
        ("a", "a", True),
        ("a", "b/a", False),
        ("a", "a/b/c", True),
        ("a/", "a", True),
        ("/a", "a", True),
        ("./b/../a", "a", True),
        ("*", "a/b", True),
        ("*.md", "a.md", True),
        ("*.md", "a/b.md", False),
        ("**/*.md", "a.md", True),
        ("**/*.md", "a/b/c.md", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**", "a", False),
        ("a/**", "a/b", True),
        ("**", "a", True),
        ("**/a", "xa", False),
        ("**a", "xa", True),
        ("?", "é", True),
        ("?", "/", False),
        ("[a-c]", "b", True),
        ("[^a-c]", "b", False),
        ("a.c", "abc", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("!a", "a", False),
        ("a !b", "a", True),
        ("* !a", "a", False),
        ("* !a", "a/b", False),
        ("* !a a/b", "a/b", True),
        ("a !a/b", "a/b", False),
        ("a !a/b", "a/c", True),
        ("a/b !a", "a/b", True),  # the exception isn't tried for a: nothing matches that
        ("** !**/a", "x/y/a", False),
    ],
)
def test_patterns(patterns: str, path: str, matched: bool) -> None:
    ignore = parse_ignore(patterns.replace(" ", "\n"))
    assert ignore.matcher().matches(path) is matched


def test_lines_of_an_ignore_file() -> None:
    text = "\ufeff# comment\n  #no comment \n\n /a/ \r\n!/b\n! c\n//d//e\n.\n/\n..\n"
    assert parse_ignore(text).patterns == ("#no comment", "a", "!b", "!c", "d/e", ".", "/", "..")


@pytest.mark.parametrize("line", ["!", "a[", "[]", "[b-", "a\\", "[z-a]x[", "\\é", "a[b-a]*"])
def test_lines_that_are_malformed(line: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_ignore(f"ok\n{line}\n", "web/.dockerignore")
    assert str(caught.value.where).startswith("web/.dockerignore:2:")


def test_what_is_odd_about_patterns_is_odd_here_too() -> None:
    assert Matcher(["a|b*"]).matches("ax/y"), "moby forgets to escape |"
    assert Matcher(["x\\d?"]).matches("x1y"), "an escaped letter is the regular expression's"
    assert Matcher(["[[:digit:]]"]).matches("5")


def test_the_dockerfiles_own_ignore_file_counts_alone(tmp_path: Path) -> None:
    context, dockerfile = tmp_path / "context", tmp_path / "build/web.Dockerfile"
    context.mkdir()
    dockerfile.parent.mkdir()
    assert read_ignore(context, dockerfile).patterns == ()
    (context / ".dockerignore").write_text("a\n")
    assert read_ignore(context, dockerfile).patterns == ("a",)
    (dockerfile.parent / "web.Dockerfile.dockerignore").write_text("")
    assert read_ignore(context, dockerfile).patterns == ()


def test_an_ignore_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(BakeError, match="can't be read"):
        read_ignore(tmp_path, tmp_path / "Dockerfile")


_PIECES = {"**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
_NAMES = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "**", "**b", "*b*", "[ab]", "[^a]"])
_PATTERNS = st.builds(
    lambda excepts, names: "!" * excepts + "/".join(names),
    st.booleans(),
    st.lists(_NAMES, min_size=1, max_size=3),
)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "abb"]), min_size=1, max_size=4)


@settings(max_examples=300)
@given(st.lists(_PATTERNS, max_size=5), _PATHS)
def test_as_a_slow_reading_of_the_rules(patterns: list[str], names: list[str]) -> None:
    """Pattern by pattern, folder by folder, each as one regular expression."""
    above: list[bool] = []
    matched = False
    for count in range(1, len(names) + 1):
        path, matched, found = "/".join(names[:count]), False, []
        for place, pattern in enumerate(patterns):
            excepts, text = pattern.startswith("!"), pattern.removeprefix("!")
            one = bool(above) and above[place]
            one = one or (excepts == matched and re.fullmatch(_slow(text), path) is not None)
            found.append(one)
            matched = not excepts if one else matched
        above = found
    matcher = Matcher(patterns)
    assert matcher.matches("/".join(names)) is matched
    for count in range(1, len(names)):
        folder = "/".join(names[:count])
        if matcher.matches(folder) and not matched:
            assert matcher.may_except_below(folder)
        if not matcher.matches(folder) and matched:
            assert matcher.may_match_below(folder)


@settings(max_examples=300)
@given(st.lists(st.text("ab*?[]^-!\\/.|{}()+$#1,:é \t", max_size=12), max_size=4), _PATHS)
def test_no_pattern_is_a_bug(patterns: list[str], names: list[str]) -> None:
    try:
        Matcher(patterns).matches("/".join(names))
        parse_ignore("\n".join(patterns)).matcher().may_except_below("/".join(names))
    except (BadPattern, DockerfileError):
        pass


def _slow(pattern: str) -> str:
    if pattern.startswith("**") and not set(pattern[2:]) & set("*?["):
        name = pattern[2:]
        return "(?:.*/)?" + re.escape(name[1:]) if name[:1] == "/" else ".*" + re.escape(name)
    pieces = re.findall(r"\*\*/?|\[.*?\]|.", pattern)
    regexes = [_PIECES.get(piece.rstrip("/") or "/", piece) for piece in pieces]
    return "".join([*regexes[:-1], ".*" if pieces[-1] == "**" else regexes[-1]])
