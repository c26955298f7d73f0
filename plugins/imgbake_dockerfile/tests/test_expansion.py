"""Variables, quotes and escapes in words."""

from __future__ import annotations

import pytest

from imgbake_dockerfile.expansion import BadExpansion, Style, Unset, expand

_SET = {"A": "abc", "EMPTY": "", "FILE": "a/b.tar.gz", "TWO": "one two", "DOLLAR": "$A"}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("$A", "abc"),
        ("x${A}y$A", "xabcyabc"),
        ("$NONE${NONE}", ""),
        ("$A.$Ab", "abc."),
        ("$1x$12", "x"),
        ("$ $. a$", "$ $. a$"),
        ("${A:-d}${NONE:-d}${EMPTY:-d}", "abcdd"),
        ("${A-d}${NONE-d}${EMPTY-d}", "abcd"),
        ("${A:+s}${NONE:+s}${EMPTY:+s}", "s"),
        ("${A+s}${NONE+s}${EMPTY+s}", "ss"),
        ("${A:?no}${EMPTY?no}", "abc"),
        ("${NONE:-${EMPTY:-$A}}", "abc"),
        ("${NONE:-'a b'}", "a b"),
        ("${FILE#*.}", "tar.gz"),
        ("${FILE##*.}", "gz"),
        ("${FILE%.*}", "a/b.tar"),
        ("${FILE%%.*}", "a/b"),
        ("${FILE#?/}", "b.tar.gz"),
        ("${FILE#x}${NONE#x}", "a/b.tar.gz"),
        ("${FILE/a/x}", "x/b.tar.gz"),
        ("${FILE//a/x}", "x/b.txr.gz"),
        ("${FILE/\\//-}", "a-b.tar.gz"),
        ("${FILE//./}", "a/btargz"),
        ("${A/*/x}", "x"),
        ("${A//?/[\\$0]}", "[\\a][\\b][\\c]"),
        ("${DOLLAR}", "$A"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A \'x\' \\" \\x \\$"', "abc 'x' \" \\x $"),
        ("a\\ b\\", "a b"),
        ("é${A}ü", "éabcü"),
    ],
)
def test_words(word: str, text: str) -> None:
    assert expand(word, _SET).text == text


@pytest.mark.parametrize(
    "word",
    [
        "'open",
        '"open',
        "${A",
        "${",
        "${}",
        "${{A}}",
        "${:A}",
        "${A:=x}",
        "${A:x}",
        "${A:#x}",
        "${A!}",
        "${A/x}",
        "${A#\\x}",
        "${A^}",
    ],
)
def test_words_that_are_wrong(word: str) -> None:
    with pytest.raises(BadExpansion):
        expand(word, _SET)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${NONE:?give it}", "NONE: give it"),
        ("${EMPTY:?}", "EMPTY: may not be empty"),
        ("${NONE?}", "NONE: may not be unset"),
    ],
)
def test_a_variable_that_must_be_there(word: str, message: str) -> None:
    with pytest.raises(Unset, match=message):
        expand(word, _SET)


def test_the_escape_can_be_another() -> None:
    assert expand("c:\\a`$A$A", _SET, Style("`")).text == "c:\\a$Aabc"


def test_what_was_used_is_told() -> None:
    found = expand("$A ${NONE:-$EMPTY} '$TWO'", _SET)
    assert (sorted(found.used), sorted(found.unset)) == (["A", "EMPTY"], ["NONE"])


def test_words_are_split_where_no_quotes_are() -> None:
    assert expand('$TWO "$TWO" x\\ y "" z', _SET).words == ("one", "two", "one two", "x y", "z")


def test_styles() -> None:
    assert expand("'a' $NONE ${NONE:-x}", {}, Style(keep_unset=True)).text == "a $NONE ${NONE:-x}"
    assert expand("'a' \"b\"", {}, Style(keep_quotes=True)).text == "'a' \"b\""
    assert expand("'$A'", _SET, Style(plain_quotes=True)).text == "'abc'"
    assert expand("a\\ b", {}, Style(keep_escapes=True)).text == "a\\ b"


def test_variables_nested_without_end_are_refused() -> None:
    with pytest.raises(BadExpansion, match="nested"):
        expand("${A:+" * 10_000, _SET)
