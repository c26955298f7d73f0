"""Parser directives: `# syntax=`, `# escape=` and `# check=`, in the first lines of a Dockerfile.

They count only until the first line that is none: another comment, a blank line, an instruction.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from imgbake_dockerfile.go import SPACES
from imgbake_dockerfile.located import DockerfileError, Source

_KNOWN = ("syntax", "escape", "check")
_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*([^\n]+?)[\t\n\f\r ]*")


class Directive(NamedTuple):
    """One directive. The name is in lower case."""

    name: str
    value: str
    line: int


def directives(source: Source) -> tuple[Directive, ...]:
    """The directives of a Dockerfile. Raises DockerfileError when one is repeated or has a wrong value."""
    found: list[Directive] = []
    for number, line in enumerate(source.lines, 1):
        directive = _directive(line.lstrip(SPACES), number, "#")
        if directive is None:
            break
        if any(directive.name == other.name for other in found):
            message = f"the directive '{directive.name}' may be given once"
            raise DockerfileError(message, where=source.where(number), hint="remove this line")
        found.append(directive)
        if directive.name == "escape" and directive.value not in ("\\", "`"):
            hint = "the escape character is \\ or `"
            raise DockerfileError(
                f"'{directive.value}' can't be the escape character",
                where=source.where(number, word=directive.value),
                hint=hint,
            )
    return tuple(found)


def syntax(source: Source) -> tuple[str, int]:
    """The image that shall read the Dockerfile, and in which line it is named; ("", 0) when none is.

    Other languages than Dockerfile's can name it too: after `//`, after a line with `#!`, or in JSON.
    """
    lines = list(source.lines)
    skipped = int(lines[0].startswith("#!"))
    for mark in ("#", "//"):
        for number, line in enumerate(lines[skipped:], 1 + skipped):
            directive = _directive(line, number, mark)
            if directive is None:
                break
            if directive.name == "syntax":
                return directive.value.partition(" ")[0], number
    return _in_json("\n".join(lines[skipped:])), skipped


def _directive(line: str, number: int, mark: str) -> Directive | None:
    if not line.startswith(mark):
        return None
    match = _DIRECTIVE.fullmatch(line[len(mark) :].lstrip(SPACES))
    if match is None or match[1].lower() not in _KNOWN:
        return None
    return Directive(match[1].lower(), match[2], number)


def _in_json(text: str) -> str:
    if not text.lstrip().startswith("{"):
        return ""
    try:
        found = json.loads(text).get("syntax")
    except (ValueError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
