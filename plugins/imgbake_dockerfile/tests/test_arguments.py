"""The build arguments of a Dockerfile."""

from __future__ import annotations

import textwrap

import pytest

from imgbake_dockerfile import Argument, listed, missing, parse, undeclared


def _listed(text: str, given: dict[str, str] | None = None, target: str = "") -> tuple[Argument, ...]:
    return listed(parse(textwrap.dedent(text)), given, target=target, platform="linux/arm64")


def _missing(text: str, given: dict[str, str] | None = None, target: str = "") -> tuple[str, ...]:
    return missing(_listed(text, given, target))


def test_every_argument_with_stage_and_default() -> None:
    found = _listed(
        """\
        # escape=`
        # BASE is what everything starts from
        ARG BASE="debian:12" SUITE=stable
        ARG TAG=${SUITE}-slim
        FROM $BASE AS build
        ARG SUITE
        ARG HTTP_PROXY
        ARG TARGETARCH
        # FLAGS for the compiler,
        # more of them
        ARG FLAGS='-O2 -g' `
            # not this one
            JOBS
        RUN <<EOF
        ARG NOT_ONE=1
        EOF
        FROM scratch
        ENV HOME=/root
        ARG DIR=$HOME/$TARGETARCH
        """
    )
    assert [(one.name, one.stage, one.line, one.default) for one in found] == [
        ("BASE", "", 3, "debian:12"),
        ("SUITE", "", 3, "stable"),
        ("TAG", "", 4, "stable-slim"),
        ("SUITE", "build", 6, "stable"),
        ("FLAGS", "build", 11, "-O2 -g"),
        ("JOBS", "build", 11, None),
        ("DIR", "1", 19, "$HOME/$TARGETARCH"),
    ]
    assert (found[0].help, found[4].help) == ("is what everything starts from", "for the compiler,")


def test_given_values_count_before_defaults() -> None:
    text = "ARG A=1\nARG B=${A}2\nFROM x$B\nARG A\nARG C=$A\n"
    assert [one.value for one in _listed(text)] == ["1", "12", "1", "1"]
    assert [one.value for one in _listed(text, {"A": "x"})] == ["x", "x2", "x", "x"]
    assert [one.default for one in _listed(text, {"A": "x"})] == ["1", "x2", "x", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "ARG X\nFROM $X\n",
        "ARG X\nARG Y=a$X\nFROM $Y\n",
        "ARG X\nFROM --platform=$X a\n",
        "FROM a\nARG X\nRUN make $X\n",
        "FROM a\nARG X\nRUN python -c 'import os; os.environ[\"X\"]'\n",
        "FROM a\nARG X\nRUN <<EOF\necho $X\nEOF\n",
        'FROM a\nARG X\nRUN ["sh", "-c", "echo ${X}"]\n',
        "FROM a\nARG X\nENV Y=${X:?missing}\n",
        "FROM a\nARG X\nCOPY ${X%.c} /\n",
        "ARG X\nFROM a\nARG X\nCOPY $X /\n",
        "FROM a AS b\nARG X\nFROM b\nRUN make $X\n",
        "FROM a AS b\nONBUILD RUN make $X\nFROM b AS c\nFROM a\nARG X\nCOPY --from=c $X /\n",
        "FROM a AS b\nONBUILD ARG X\nONBUILD COPY $X /\nFROM b\n",
    ],
)
def test_arguments_that_are_needed(text: str) -> None:
    assert _missing(text) == ("X",)
    assert _missing(text, {"X": ""}) == ()


@pytest.mark.parametrize(
    "text",
    [
        "ARG X=\nFROM a$X\n",
        "ARG X\nFROM ${X:-a}\n",
        "FROM a\nARG X\n",
        "FROM a\nARG X\nRUN make ${X:+--fast}\n",
        "FROM a\nRUN make $X\nARG X\n",
        "ARG X=1\nFROM a\nARG X\nRUN make $X\n",
        "FROM a\nARG X\nRUN make EXTRA $XY\n",
        "FROM a\nARG X\nLABEL x='X'\n",
        "FROM a AS b\nARG X\nRUN make $X\nFROM c\n",
        "FROM a\nARG TARGETPLATFORM\nARG https_proxy\nRUN make $TARGETPLATFORM $https_proxy\n",
    ],
)
def test_arguments_that_are_not(text: str) -> None:
    assert _missing(text) == ()


def test_the_target_says_what_is_needed() -> None:
    text = "FROM a AS one\nARG X\nRUN $X\nFROM a AS two\nARG Y\nRUN $Y\nFROM one\n"
    assert (_missing(text), _missing(text, target="two")) == (("X",), ("Y",))


def test_defaults_that_fail_are_shown_as_they_are() -> None:
    (found,) = _listed("FROM a\nARG X=${Y:?no}\n")
    assert (found.default, found.needed) == ("${Y:?no}", False)


def test_given_arguments_that_nobody_declares() -> None:
    dockerfile = parse("ARG VERSION\nFROM a\nARG DEBUG\nONBUILD ARG LATER=1\n", "web/Dockerfile")
    given = ["VERSION", "DEBUG", "LATER", "BASED", "HTTP_PROXY", "TARGETARCH", "BUILDKIT_INLINE_CACHE"]
    assert undeclared(dockerfile, given, triggers=["ARG BASED"]) == ()
    (problem,) = undeclared(dockerfile, ["VERISON"])
    assert problem.render() == "web/Dockerfile has no ARG 'VERISON'\n  hint: did you mean 'VERSION'?"
    (problem,) = undeclared(parse("FROM a"), ["X"])
    assert problem.hint == "there is no ARG in Dockerfile"
