"""A parsed Dockerfile, as values."""

from __future__ import annotations

import msgspec

from imgbake.api import Where
from imgbake_dockerfile.located import Source


class Heredoc(msgspec.Struct, frozen=True):
    """A document that follows its instruction: `<<name`, the lines, `name`."""

    name: str
    content: str = ""  # as it stands in the file, line ends too
    expands: bool = True  # the name is not quoted, so variables in the content are replaced
    chomps: bool = False  # `<<-`: tabs at the start of lines don't count
    descriptor: int = 0


class Instruction(msgspec.Struct, frozen=True):
    """One instruction, with nothing expanded.

    What is in `words` depends on the instruction: the arguments as they are separated by spaces or in
    JSON; the whole rest of the line for the shell form and for WORKDIR, USER and the like; nothing for
    ENV and LABEL, which have `pairs`, and for ONBUILD, which has its `trigger`.
    """

    name: str  # in upper case
    text: str  # the line with continuations joined, without comments
    first: int  # the first line and the last, heredocs included; from 1
    last: int
    flags: tuple[str, ...] = ()  # "--from=build", quotes and escapes taken away
    words: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    is_json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    trigger: Instruction | None = None
    comments: tuple[str, ...] = ()  # the comment lines directly before it

    def flag(self, name: str) -> str:
        """The value of a flag that is given once; empty when it isn't, "true" when it has none."""
        return next(iter(self.flag_values(name)), "")

    def flag_values(self, name: str) -> tuple[str, ...]:
        """The values of a flag, in order; "true" where there is none."""
        found = (flag[2:].partition("=") for flag in self.flags)
        return tuple(value if equals else "true" for key, equals, value in found if key == name)


class Dockerfile(msgspec.Struct, frozen=True):
    """A whole Dockerfile."""

    source: Source
    instructions: tuple[Instruction, ...]
    escape: str = "\\"  # the character that escapes, and continues lines
    syntax: str = ""  # the image that the `syntax` directive names
    syntax_line: int = 0

    def where(self, instruction: Instruction, word: str = "") -> Where:
        """The place of an instruction, or of a word in it."""
        return self.source.where(instruction.first, instruction.last, word)
