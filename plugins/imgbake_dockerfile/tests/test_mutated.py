"""Whatever stands in a Dockerfile, it is read or refused with a place; it is never a bug."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.api import BakeError
from imgbake_dockerfile import Base, Context, listed, parse, parse_ignore, plan, reached

_START = """\
# syntax=docker/dockerfile:1
# escape=\\
ARG BASE=debian:${TAG:-12} TAG
FROM --platform=$BUILDPLATFORM $BASE AS build
ARG TARGETARCH NAME=${BASE%%:*} OTHER
ENV DIR=src/$NAME "A B"=c\\ d
COPY --exclude=*.md --chown=1:1 ["$DIR", "a*/[b-c]", "/to/"]
RUN --mount=type=bind,source=${DIR//s/c},target=/m \\
    # a comment
    --mount=type=secret,id=key,required make <<-'E1' <<E2
\tone
\tE1
two $X
E2
ONBUILD COPY --parents x/./y/**/z /
FROM build
ADD https://example.com/$NAME.tgz git@example.com:a.git ${X:?must} ./../dir/ /to
COPY --from=build a /
HEALTHCHECK --interval=3s CMD ["a"]
LABEL a=b c="d e"
SHELL ["sh"]
"""
_PIECES = st.sampled_from(
    [
        *(
            "\\",
            "\\\n",
            "\n",
            "\r\n",
            " ",
            "\t",
            "#",
            '"',
            "'",
            "`",
            "$",
            "${",
            "}",
            "${X:-",
            "${X#",
            "/",
            "//",
        ),
        *(
            "<<",
            "<<-E\n",
            "E\n",
            "[",
            "]",
            '["',
            "--",
            "--from=",
            "--mount=",
            "=",
            ",",
            ":",
            "!",
            "*",
            "é",
            "\0",
        ),
        *(
            "FROM ",
            "ARG ",
            "COPY ",
            "ONBUILD ",
            "RUN ",
            "# escape=`\n",
            "\ufeff",
            "\xa0",
            "\u2028",
            "\x85",
            "\ud800",
        ),
    ]
)
_EDITS = st.lists(st.tuples(st.integers(0, len(_START)), st.integers(0, 40), _PIECES), max_size=6)


def _edited(edits: list[tuple[int, int, str]]) -> str:
    text = _START
    for place, length, piece in edits:
        text = text[:place] + piece + text[place + length :]
    return text


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_EDITS)
def test_a_dockerfile_with_mistakes(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    text = _edited(edits)
    try:
        dockerfile = parse(text)
        for instruction in dockerfile.instructions:
            assert 0 < instruction.first <= instruction.last <= text.count("\n") + 1
        listed(dockerfile, {"TAG": "1"})
        build = plan(dockerfile, {"X": "x"}, bases=lambda reference, platform: Base({"A": "b"}, ("RUN a",)))
        reached(build, Context(tmp_path, parse_ignore("a\n!a/b")))
    except BakeError as error:
        assert error.render()


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_text(text: bytes | str) -> None:
    try:
        plan(parse(text))
    except BakeError as error:
        assert error.render()


@settings(max_examples=200)
@given(st.lists(st.sampled_from(_START.splitlines(keepends=True)), max_size=15))
def test_lines_in_any_order(lines: list[str]) -> None:
    try:
        plan(parse("".join(lines)), {"X": "x"})
    except BakeError as error:
        assert error.render()
