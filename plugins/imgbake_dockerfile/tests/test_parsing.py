"""A Dockerfile's text, taken apart into instructions."""

from __future__ import annotations

import json
import textwrap

import pytest

from imgbake_dockerfile import Dockerfile, DockerfileError, Instruction, parse


def _parsed(text: str) -> Dockerfile:
    return parse(textwrap.dedent(text))


def _one(text: str) -> Instruction:
    (instruction,) = _parsed(text).instructions
    return instruction


def _shown(error: DockerfileError) -> str:
    return error.render()


def test_lines_that_end_in_the_escape_are_one_instruction() -> None:
    text = """\
        FROM debian

        RUN apt-get update \\
            # comments and blank lines between them are nothing

            && apt-get install \\\x20\x20
               tree
        CMD tree
        """
    base, run, command = _parsed(text).instructions
    assert run.words == ("apt-get update     && apt-get install        tree",)
    assert [(one.first, one.last) for one in (base, run, command)] == [(1, 1), (3, 7), (8, 8)]


def test_an_escape_that_is_escaped_continues_nothing() -> None:
    one, other = _parsed("RUN a\\\\\nRUN b\n").instructions
    assert (one.words, other.words) == (("a\\\\",), ("b",))


def test_the_file_may_end_in_a_continuation() -> None:
    assert _one("RUN a \\").words == ("a",)
    assert _one("RUN a \\\n\n# no more\n").words == ("a",)


def test_the_escape_directive_changes_what_continues_a_line() -> None:
    text = "# escape=`\nFROM windows\nCOPY a c:\\b\\\nRUN dir `\n  c:\\\n"
    dockerfile = _parsed(text)
    assert dockerfile.escape == "`"
    assert [one.words for one in dockerfile.instructions[1:]] == [("a", "c:\\b\\"), ("dir   c:\\",)]


@pytest.mark.parametrize("before", ["# a comment\n", "\n", "# unknown=x\n", "#!/bin/build\n"])
def test_directives_only_count_before_everything_else(before: str) -> None:
    assert _parsed(before + "# escape=`\nFROM a\n").escape == "\\"


def test_directives_may_be_written_in_any_case_and_order() -> None:
    dockerfile = _parsed("#  Syntax = docker/dockerfile:1  \n#ESCAPE=`\n# check=skip=all\nFROM a\n")
    assert (dockerfile.escape, dockerfile.syntax, dockerfile.syntax_line) == ("`", "docker/dockerfile:1", 1)
    assert dockerfile.instructions[0].comments == ()


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("#!/bin/sh\n# syntax=some/image\nFROM a", "some/image"),
        ("// syntax=some/image with words\nFROM a", "some/image"),
        ('{"syntax": "some/image"}', "some/image"),
        ("FROM a\n# syntax=some/image\n", ""),
    ],
)
def test_the_image_that_reads_it_can_be_named_in_other_languages_too(text: str, image: str) -> None:
    assert parse(text).syntax == image


def test_a_directive_given_twice_is_an_error_with_its_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("# escape=\\\n# escape=`\nFROM a\n", "images/Dockerfile")
    assert _shown(caught.value) == (
        "images/Dockerfile:2:1: the directive 'escape' may be given once\n"
        " 2 | # escape=`\n"
        "   | ^^^^^^^^^^\n"
        "  hint: remove this line"
    )


def test_an_escape_that_is_none_is_an_error() -> None:
    with pytest.raises(DockerfileError, match="'x' can't be the escape character"):
        parse("# escape=x\nFROM a\n")


def test_a_byte_order_mark_and_windows_line_ends_are_read_over() -> None:
    dockerfile = parse(b"\xef\xbb\xbf# escape=`\r\nFROM a\r\nRUN b `\r\n  c\r\nRUN <<E\r\nd\r\nE\r\n")
    base, run, here = dockerfile.instructions
    assert (base.words, run.words) == (("a",), ("b   c",))
    assert here.heredocs[0].content == "d\r\n"


def test_names_of_instructions_may_be_written_in_any_case() -> None:
    assert [one.name for one in _parsed("from a\nRun b\n").instructions] == ["FROM", "RUN"]


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ('["a b", "c"]', ("a b", "c")),
        ('  [ "a",\t"\\u00e9" ] ', ("a", "é")),
        ("[]", ()),
    ],
)
def test_the_json_form(rest: str, words: tuple[str, ...]) -> None:
    for name in ("RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME"):
        found = _one(f"{name} {rest}")
        assert (found.is_json, found.words) == (True, words)


@pytest.mark.parametrize("rest", ["['a', 'b']", '["a", "b"', '["a"] b', '["a" "b"]', "[a]", '["a\tb"]'])
def test_what_is_no_json_is_left_to_the_shell(rest: str) -> None:
    found = _one(f"RUN {rest}")
    assert (found.is_json, found.words) == (False, (rest,))


def test_json_of_other_things_than_strings_is_an_error() -> None:
    with pytest.raises(DockerfileError, match="holds strings only"):
        parse('CMD ["a", 1]')
    with pytest.raises(DockerfileError, match="holds strings only"):
        parse("CMD " + "[" * 5000 + "]" * 5000)


def test_pairs() -> None:
    assert _one("ENV a=b c=\"d e\" 'f'=g\\ h").pairs == (("a", "b"), ("c", '"d e"'), ("'f'", "g\\ h"))
    assert _one("LABEL key some value").pairs == (("key", "some value"),)


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [("ENV a", "ENV needs a value for a", 5), ("LABEL a=b c", "'c' is no `name=value`", 11)],
)
def test_pairs_that_are_none(line: str, message: str, column: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(f"FROM x\n{line}\n")
    assert str(caught.value) == message
    assert caught.value.where is not None
    assert (caught.value.where.line, caught.value.where.column) == (2, column)


def test_flags_lose_their_quotes_and_escapes() -> None:
    found = _one('RUN --mount=type=bind,"source=a b" --network=none \\--x --y -- --z')
    assert found.flags == ("--mount=type=bind,source=a b", "--network=none")
    assert found.words == ("\\--x --y -- --z",)
    assert _one("RUN --network=none -- --z").words == ("--z",)


def test_flags_by_name() -> None:
    found = _one("COPY --exclude=*.md --link --exclude=b a /")
    assert found.flag_values("exclude") == ("*.md", "b")
    assert (found.flag("link"), found.flag("from")) == ("true", "")


def test_a_heredoc_is_part_of_its_instruction() -> None:
    text = "FROM a\nRUN <<EOF\nset -e\n# not a comment\n  EOF\nEOF\nCMD b\n"
    _, run, command = _parsed(text).instructions
    (document,) = run.heredocs
    assert document.content == "set -e\n# not a comment\n  EOF\n"
    assert (run.first, run.last, command.first) == (2, 6, 7)


def test_several_heredocs_follow_in_order() -> None:
    found = _one("COPY <<one <<-'two' 3<<\"th\"ree /to/\n1\none\n\t2\n\ttwo\n3\nthree\n")
    assert [(d.name, d.content, d.expands, d.chomps, d.descriptor) for d in found.heredocs] == [
        ("one", "1\n", True, False, 0),
        ("two", "\t2\n", False, True, 0),
        ("three", "3\n", False, False, 3),
    ]


@pytest.mark.parametrize(
    "line", ['RUN ["a", "<<EOF"]', "CMD <<EOF", "RUN 'a <<EOF'", "RUN a <<<EOF", "RUN a << 'b", "USER <<EOF"]
)
def test_what_is_no_heredoc(line: str) -> None:
    assert _one(line).heredocs == ()


def test_a_heredoc_of_a_trigger() -> None:
    found = _one("ONBUILD RUN <<EOF\na\nEOF\n")
    assert found.trigger is not None
    assert (found.trigger.name, found.heredocs[0].content) == ("RUN", "a\n")


def test_a_heredoc_without_an_end_is_an_error_with_its_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM a\nCOPY <<EOF /b\ntext\n")
    assert _shown(caught.value) == (
        "Dockerfile:2:8: the heredoc EOF has no end\n"
        " 2 | COPY <<EOF /b\n"
        "   |        ^^^\n"
        "  hint: end it with a line that is nothing but EOF"
    )


def test_comments_before_an_instruction_are_kept() -> None:
    _, arg = _parsed("FROM a\n# far\n#\n# VERSION of it\n#   and more\nARG VERSION\n").instructions
    assert arg.comments == ("VERSION of it", "and more")


def test_triggers() -> None:
    found = _one("onbuild copy --from=x a b")
    assert found.trigger is not None
    assert (found.trigger.name, found.trigger.flags, found.trigger.words) == (
        "COPY",
        ("--from=x",),
        ("a", "b"),
    )
    with pytest.raises(DockerfileError, match="ONBUILD can't stand after ONBUILD"):
        parse("ONBUILD ONBUILD RUN a")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "# escape=`"])
def test_a_file_without_instructions_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="no instruction"):
        parse(text)


def test_lines_that_are_too_long_are_an_error() -> None:
    parse("RUN " + "x" * 65531)
    with pytest.raises(DockerfileError, match="at most 65535 bytes"):
        parse("RUN " + "x" * 65532)


def test_text_that_is_not_utf8_is_read_all_the_same() -> None:
    assert parse(b"RUN echo \xff").instructions[0].words == ("echo �",)
    assert parse("RUN " + json.loads('"\\ud800"')).instructions[0].words == ("?",)
