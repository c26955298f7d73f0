"""Errors that point into a Dockerfile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from imgbake.api import BakeError, Where

_SHOWN = 500  # characters of a line that an error shows at most


class DockerfileError(BakeError):
    """A Dockerfile, or what was asked of it, is wrong. Like a wrong recipe, it ends with exit code 2."""

    exit_code = 2


class Source(msgspec.Struct, frozen=True):
    """A Dockerfile's name, to be shown, and its lines without line ends."""

    file: str
    lines: tuple[str, ...]

    def where(self, first: int, last: int = 0, word: str = "") -> Where:
        """The place of a word in the lines from `first` to `last`, or else of the first line's text."""
        for number in range(first, max(first, last) + 1) if word else ():
            column = self._line(number).find(word)
            if column >= 0:
                return Where(self.file, number, column + 1, self._line(number), len(word))
        text = self._line(first)
        start = len(text) - len(text.lstrip())
        return Where(self.file, first, start + 1, text, max(1, len(text.strip())))

    def _line(self, number: int) -> str:
        return self.lines[number - 1][:_SHOWN] if 0 < number <= len(self.lines) else ""


def source(file: str, text: str) -> Source:
    """The lines of a text that can be pointed at."""
    return Source(file, tuple(line.rstrip("\r") for line in text.split("\n")))


def one_of(words: Sequence[str]) -> str:
    """`a, b or c`, for a hint."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
