"""Ignore files: which files of the context no instruction can see."""

from __future__ import annotations

from pathlib import Path

import msgspec

from imgbake.api import BakeError, read_file
from imgbake_dockerfile.go import clean, strip
from imgbake_dockerfile.located import DockerfileError, source
from imgbake_dockerfile.patterns import BadPattern, Matcher

_LONGEST = 1 << 16  # bytes in a line, with its end


class Ignore(msgspec.Struct, frozen=True):
    """An ignore file's patterns, in order."""

    patterns: tuple[str, ...] = ()
    file: str = ""  # where they are from; empty when there is no such file

    def matcher(self) -> Matcher:
        """Matches what is ignored."""
        return Matcher(self.patterns)


def read_ignore(context: Path, dockerfile: Path) -> Ignore:
    """The ignore file that counts: `NAME.dockerignore` beside the Dockerfile NAME, or the context's.

    Raises DockerfileError for a malformed pattern, and BakeError for a file that can't be read.
    """
    for file in (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore"):
        try:
            return parse_ignore(read_file(file), str(file))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise BakeError(f"{file} can't be read: {error.strerror}") from None
    return Ignore()


def parse_ignore(data: bytes | str, file: str = ".dockerignore") -> Ignore:
    """The patterns of an ignore file. Raises DockerfileError for a malformed one."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")  # as BuildKit tells patterns
    text = text.removeprefix("\ufeff")
    patterns: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(line.encode("utf-8")) >= _LONGEST:
            raise DockerfileError("this line is too long", where=source(file, text).where(number))
        pattern = _pattern(line)
        if not pattern:
            continue
        try:
            Matcher((pattern,))
        except BadPattern as error:
            raise DockerfileError(str(error), where=source(file, text).where(number)) from None
        patterns.append(pattern)
    return Ignore(tuple(patterns), file)


def _pattern(line: str) -> str:
    """The pattern in a line; empty when there is none. A slash in front means nothing."""
    line = "" if line.startswith("#") else strip(line)
    excepts, pattern = line[:1] == "!", strip(line.removeprefix("!"))
    if not pattern:
        return line
    pattern = clean(pattern)
    return "!" * excepts + (pattern[1:] if pattern[0] == "/" and len(pattern) > 1 else pattern)
