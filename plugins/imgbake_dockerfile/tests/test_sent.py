"""A Dockerfile as it is sent: the user's lines, less what decides nothing, with images by digest."""

from __future__ import annotations

from collections.abc import Mapping

from imgbake_dockerfile import parse, plan
from imgbake_dockerfile.request import Text
from imgbake_dockerfile.sent import sent


def of(text: str, names: Mapping[str, str] | None = None, target: str = "", **args: str) -> Text:
    dockerfile = parse(text)
    return sent(dockerfile, plan(dockerfile, args, target=target), names or {})


def test_comments_and_blank_lines_are_left_out() -> None:
    found = of("# why\n\nFROM scratch\n# how\nCOPY a \\\n  # between\n\n  b /\n")
    assert found.text == "FROM scratch\nCOPY a \\\n  b /\n"
    assert found.lines == (3, 5, 8)
    assert found.place("x/Dockerfile", 3) == "x/Dockerfile:8"
    assert found.place("x/Dockerfile", 9) == "x/Dockerfile"


def test_what_looks_like_a_comment_in_a_heredoc_stays() -> None:
    text = "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY <<-E <<F /x/\n\t# one\n\n\tE\n#two\nF\nRUN x\n"
    found = of(text, {"docker/dockerfile:1": "docker/dockerfile@sha256:1"})
    assert found.text == (
        "# syntax=docker/dockerfile@sha256:1\nFROM scratch\nCOPY <<-E <<F /x/\n\t# one\n\nE\n#two\nF\nRUN x\n"
    )
    assert found.lines == (1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_directives_stay() -> None:
    text = "# escape=`\n# a comment\nFROM scratch\nRUN a `\n  b\n"
    assert of(text).text == "# escape=`\nFROM scratch\nRUN a `\n  b\n"


def test_images_are_named_by_digest() -> None:
    text = (
        "ARG TAG=3\nFROM --platform=linux/amd64 base:$TAG AS one\nFROM one\n"
        "COPY --from=tools:1 /a /a\n"
        "RUN --mount=type=bind,from=tools:1,target=/t --mount=type=cache,target=/c x\n"
    )
    names = {"base:3": "base:3@sha256:b", "tools:1": "tools:1@sha256:t"}
    assert of(text, names).text == (
        "ARG TAG=3\nFROM --platform=linux/amd64 base:3@sha256:b AS one\nFROM one\n"
        "COPY --from=tools:1@sha256:t /a /a\n"
        "RUN --mount=type=bind,from=tools:1@sha256:t,target=/t --mount=type=cache,target=/c x\n"
    )


def test_stages_that_the_target_does_not_need_keep_their_place_alone() -> None:
    text = (
        "FROM scratch AS a\nCOPY a /\nFROM b:1\nRUN b\nFROM scratch AS c\nCOPY --from=0 /a /\nFROM c\nRUN d\n"
    )
    assert of(text, target="c").text == (
        "FROM scratch AS a\nCOPY a /\nFROM scratch\nFROM scratch AS c\nCOPY --from=0 /a /\n"
    )


def test_a_name_that_only_starts_like_an_image_is_another() -> None:
    text = "FROM scratch\nCOPY --from=a /x /x\nCOPY --from=a/b /x /y\n"
    assert of(text, {"a": "A", "a/b": "B"}).text == (
        "FROM scratch\nCOPY --from=A /x /x\nCOPY --from=B /x /y\n"
    )
