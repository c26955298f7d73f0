"""What the words of a command line mean, however they were parsed. Imports nothing of Typer."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgbake.app.opening import Request

RECIPE = Path("imgbake.toml")


class Format(StrEnum):
    """How a result is printed on stdout."""

    TEXT = "text"
    JSON = "json"


class Progress(StrEnum):
    """How a build is shown on stderr."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


def request(file: Path, args: list[str] | None, commits: list[str] | None = None) -> Request:
    """What a command line asks for. Raises UsageError for an --arg without a value."""
    from imgbake.app.opening import Request
    from imgbake.errors import UsageError

    given: dict[str, str] = {}
    for text in args or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            lacks = "value" if name else "name"
            raise UsageError(f"--arg {text} has no {lacks}", hint=f"write --arg {name or 'NAME'}=VALUE")
        given[name] = value
    chosen: dict[str, str] = {}
    for text in commits or ():
        name, equals, commit = text.rpartition("=")
        chosen[name] = commit
    return Request(file, given, chosen)


def warn(message: str) -> None:
    """Tells the user what does not stop us."""
    sys.stderr.write(f"warning: {message}\n")


def print_json(document: object) -> None:
    """Prints one JSON document on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
