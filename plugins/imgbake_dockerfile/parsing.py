"""From a Dockerfile's text to its instructions, line by line as BuildKit's parser goes.

Several lines are one instruction when all but the last end in the escape character. Comments and
blank lines between them count as nothing. The lines of heredocs come after the instruction's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from imgbake_dockerfile import words
from imgbake_dockerfile.directives import directives, syntax
from imgbake_dockerfile.expansion import BadExpansion
from imgbake_dockerfile.go import SPACES, strip
from imgbake_dockerfile.heredocs import announced
from imgbake_dockerfile.located import DockerfileError, Source, source
from imgbake_dockerfile.syntax import Dockerfile, Heredoc, Instruction
from imgbake_dockerfile.words import BadWords

_LONGEST = 1 << 16  # bytes in a line, with its end: BuildKit reads none that is longer
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


def parse(data: bytes | str, file: str = "Dockerfile") -> Dockerfile:
    """Parses a Dockerfile. `file` is its name in errors. Raises DockerfileError, with line and column.

    Only the form is checked here; `checking` knows which instructions and flags there are.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    text = text.encode("utf-8", "replace").decode("utf-8").removeprefix("\ufeff")
    where = source(file, text)
    _refuse_long_lines(text, where)
    found = directives(where)
    escape = next((directive.value for directive in found if directive.name == "escape"), "\\")
    reader = _Reader(text, where, escape, len(found))
    instructions: list[Instruction] = []
    while (line := reader.line()) is not None:
        instructions.append(_instruction(line, reader))
    if not instructions:
        hint = "a Dockerfile starts with FROM"
        raise DockerfileError("there is no instruction in it", where=where.where(0), hint=hint)
    image, number = syntax(where)
    return Dockerfile(where, tuple(instructions), escape, image, number)


class _Line(NamedTuple):
    """An instruction's line, its continuations joined."""

    text: str
    first: int
    last: int  # without heredocs
    comments: tuple[str, ...]


class _Reader:
    """Goes through the lines."""

    def __init__(self, text: str, where: Source, escape: str, directives: int) -> None:
        self.where = where
        self.escape = escape
        self._lines = text.split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._read = directives
        quoted = re.escape(escape)
        # An escape that is escaped itself is a character; BuildKit doesn't look further back.
        self._continued = re.compile(rf"(?<!{quoted}){quoted}[ \t]*\Z")

    def line(self) -> _Line | None:
        """The next instruction's line; None at the end."""
        comments: tuple[str, ...] = ()
        while self._read < len(self._lines):
            raw = self._next()
            text = raw.lstrip(SPACES)
            if text.startswith("#"):
                comment = strip(raw[1:])
                comments = (*comments, comment) if comment else ()
            elif text:
                return self._joined(text, comments)
        return None

    def heredoc(self, begun: Heredoc, first: int) -> Heredoc:
        """The heredoc with its content, read to the line that ends it."""
        content: list[str] = []
        while self._read < len(self._lines):
            raw = self._lines[self._read]
            is_last = self._read + 1 == len(self._lines)
            line = self._next()
            if (line.lstrip("\t") if begun.chomps else line) == begun.name:
                return replace(begun, content="".join(content))
            content.append(raw if is_last and not self._ends_with_newline() else raw + "\n")
        where = self.where.where(first, word=begun.name)
        hint = f"end it with a line that is nothing but {begun.name}"
        raise DockerfileError(f"the heredoc {begun.name} has no end", where=where, hint=hint)

    @property
    def read(self) -> int:
        """How many lines were read."""
        return self._read

    def _ends_with_newline(self) -> bool:
        return len(self.where.lines) > len(self._lines)

    def _next(self) -> str:
        self._read += 1
        return self._lines[self._read - 1].rstrip("\r")

    def _joined(self, text: str, comments: tuple[str, ...]) -> _Line:
        first = self._read
        text, continues = self._without_continuation(text)
        parts = [text]
        while continues and self._read < len(self._lines):
            text = self._next()
            if text.lstrip(SPACES)[:1] in ("", "#"):
                continue
            text, continues = self._without_continuation(text)
            parts.append(text)
        return _Line("".join(parts), first, self._read, comments)

    def _without_continuation(self, line: str) -> tuple[str, bool]:
        match = self._continued.search(line)
        return (line[: match.start()], True) if match else (line, False)


class _Rest(NamedTuple):
    """An instruction's arguments, in the form that it has."""

    words: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    is_json: bool = False
    trigger: Instruction | None = None


def _instruction(line: _Line, reader: _Reader) -> Instruction:
    try:
        made = _of_text(line.text, reader.escape)
        heredocs = announced(line.text) if _may_have_heredocs(made) and "<<" in line.text else ()
    except BadWords as error:
        where = reader.where.where(line.first, line.last, error.word)
        raise DockerfileError(str(error), where=where, hint=error.hint) from None
    except BadExpansion as error:
        where = reader.where.where(line.first, line.last, "<<")
        raise DockerfileError(f"this heredoc can't be read: {error}", where=where) from None
    read = tuple(reader.heredoc(begun, line.first) for begun in heredocs)
    return replace(made, first=line.first, last=reader.read, heredocs=read, comments=line.comments)


def _of_text(line: str, escape: str) -> Instruction:
    name, flags, rest = words.split_instruction(line, escape)
    known = name.lower().upper() if name.lower().isascii() else name
    form = _FORMS.get(known)
    found = form(name, rest, escape) if form else _Rest()
    return Instruction(
        known,
        line,
        first=0,
        last=0,
        flags=flags,
        words=found.words,
        pairs=found.pairs,
        is_json=found.is_json,
        trigger=found.trigger,
    )


def _may_have_heredocs(instruction: Instruction) -> bool:
    meant = instruction.trigger or instruction
    return meant.name in _WITH_HEREDOCS and not meant.is_json


def _whole(name: str, rest: str, escape: str) -> _Rest:
    return _Rest((rest,) if rest else ())


def _separated(name: str, rest: str, escape: str) -> _Rest:
    return _Rest(words.separated(rest))


def _json_or_separated(name: str, rest: str, escape: str) -> _Rest:
    found = words.from_json(rest)
    return _Rest(words.separated(rest)) if found is None else _Rest(found, is_json=True)


def _json_or_whole(name: str, rest: str, escape: str) -> _Rest:
    found = words.from_json(rest)
    return _whole(name, rest, escape) if found is None else _Rest(found, is_json=True)


def _pairs(name: str, rest: str, escape: str) -> _Rest:
    return _Rest(pairs=words.pairs(name, rest, escape))


def _quoted(name: str, rest: str, escape: str) -> _Rest:
    return _Rest(tuple(words.quoted(rest, escape)))


def _kind_and_command(name: str, rest: str, escape: str) -> _Rest:
    """HEALTHCHECK: CMD or NONE, and then a command as that of CMD."""
    kind, *command = re.split(r"[\t\n\v\f\r ]+", rest, maxsplit=1)
    found = _json_or_whole(name, command[0] if command else "", escape)
    return found._replace(words=(kind, *found.words)) if kind else _Rest()


def _trigger(name: str, rest: str, escape: str) -> _Rest:
    if not rest:
        return _Rest()
    if words.separated(rest)[0].upper() == "ONBUILD":
        raise BadWords("ONBUILD can't stand after ONBUILD", "a trigger is one instruction, without ONBUILD")
    return _Rest(trigger=_of_text(rest, escape))


_FORMS: dict[str, Callable[[str, str, str], _Rest]] = {
    "ADD": _json_or_separated,
    "ARG": _quoted,
    "CMD": _json_or_whole,
    "COPY": _json_or_separated,
    "ENTRYPOINT": _json_or_whole,
    "ENV": _pairs,
    "EXPOSE": _separated,
    "FROM": _separated,
    "HEALTHCHECK": _kind_and_command,
    "LABEL": _pairs,
    "MAINTAINER": _whole,
    "ONBUILD": _trigger,
    "RUN": _json_or_whole,
    "SHELL": _json_or_whole,
    "STOPSIGNAL": _whole,
    "USER": _whole,
    "VOLUME": _json_or_separated,
    "WORKDIR": _whole,
}


def _refuse_long_lines(text: str, where: Source) -> None:
    if len(text) * 4 < _LONGEST:
        return
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if len(line.encode("utf-8")) + 1 > _LONGEST:
            hint = "split it with \\, or copy a file instead"
            message = f"a line has at most {_LONGEST - 1} bytes"
            raise DockerfileError(message, where=where.where(number), hint=hint)
