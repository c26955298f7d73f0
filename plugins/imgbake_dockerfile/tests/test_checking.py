"""Mistakes in instructions, each shown at its place with what to write instead."""

from __future__ import annotations

import pytest

from imgbake_dockerfile import DockerfileError, parse
from imgbake_dockerfile.checking import check
from imgbake_dockerfile.stages import split


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("COPPY a /", "there is no instruction 'COPPY'", "did you mean 'COPY'?"),
        ("COPY --form=x a /", "COPY has no flag --form", "did you mean 'from'?"),
        ("ADD --from=x a /", "ADD has no flag --from", "known here:"),
        ("ENV --x a=b", "ENV has no flag --x", "ENV has no flags"),
        ("COPY --from a /", "--from needs a value", "write --from=…"),
        ("COPY --from=a --from=b c /", "--from may be given once", "remove one of them"),
        ("COPY --link=maybe a /", "--link is true or false, not 'maybe'", "--link=false"),
        ("RUN --network=nome a", "--network can't be 'nome'", "did you mean 'none'?"),
        ("RUN --mount=from=$x,target=/a b", "no variable can stand in `from`", ""),
        ("RUN --mount='type=\"bind' a", "a quote can only stand around", ""),
        ("COPY a", "COPY needs sources and a destination", "write COPY source… destination"),
        ("COPY a <<EOF\nEOF", "COPY can't copy into a heredoc", "a path in the image"),
        ("FROM a b", "FROM takes an image", "FROM image AS name"),
        ("FROM a AS 1b", "'1b' can't be a stage's name", "starts with a letter"),
        ("ONBUILD FROM a", "FROM can't stand after ONBUILD", ""),
        ("ARG =a", "ARG has a value without a name", "ARG name=value"),
        ("ENV =a", "ENV has a value without a name", "name=value"),
        ("WORKDIR", "WORKDIR takes one argument", "write WORKDIR …"),
        ("EXPOSE", "EXPOSE needs an argument", "write EXPOSE …"),
        ("HEALTHCHECK CMD", "HEALTHCHECK takes CMD and a command, or NONE", "HEALTHCHECK CMD command"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK takes CMD and a command, or NONE", ""),
        ("SHELL bash -c", "SHELL takes a JSON array", "SHELL ["),
        ('VOLUME [" "]', "a volume needs a path", "VOLUME /path"),
    ],
)
def test_mistakes(line: str, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        check(parse(f"FROM debian\n{line}\n"))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.where is not None
    assert caught.value.where.line == 2
    assert caught.value.exit_code == 2


def test_a_mistake_is_shown_where_it_stands() -> None:
    with pytest.raises(DockerfileError) as caught:
        check(parse("FROM debian\nRUN true && \\\n    false\nCOPY --link \\\n  --chwon=1:1 \\\n  a /b\n"))
    assert caught.value.render() == (
        "Dockerfile:5:3: COPY has no flag --chwon\n"
        " 5 |   --chwon=1:1 \\\n"
        "   |   ^^^^^^^\n"
        "  hint: did you mean 'chown' or 'chmod'?"
    )


def test_every_flag_there_is() -> None:
    check(
        parse(
            "FROM --platform=linux/arm64 debian AS some-stage_1.0\n"
            "COPY --from=a --chown=1:2 --chmod=u=rw --link --exclude=a --exclude=b --parents=false a b /\n"
            "ADD --chown=1 --chmod=755 --link --keep-git-dir=true --checksum=sha256:0 --unpack a /\n"
            "RUN --mount=target=/a --mount=type=ssh --network=host --security=insecure --device=x a\n"
            "HEALTHCHECK --interval=1s --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD a\n"
        )
    )


def test_another_reader_may_know_more() -> None:
    check(parse("# syntax=docker/dockerfile:99\nFROM debian\nRUN --turbo a\nDREAM of=sheep\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN a\nFROM b\n", "RUN stands before FROM"),
        ("ARG a\n", "there is no FROM"),
    ],
)
def test_a_dockerfile_starts_with_from(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        split(parse(text))


def test_stages_have_numbers_and_names() -> None:
    parts = split(parse("ARG a\nARG b\nFROM x AS One\nRUN y\nFROM z\nFROM x as one\n"))
    assert [(stage.index, stage.name, stage.label) for stage in parts.stages] == [
        (0, "one", "one"),
        (1, "", "1"),
        (2, "one", "one"),
    ]
    assert len(parts.globals) == 2
    found = parts.named("ONE")
    assert found is not None
    assert found.index == 2
