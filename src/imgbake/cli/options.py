"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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


File = Annotated[Path, typer.Option("-f", "--file", help="The recipe.", show_default="imgbake.toml")]
Directory = Annotated[
    Path | None, typer.Option("-C", "--directory", help="Change to this folder first.", show_default=False)
]
Args = Annotated[
    list[str] | None, typer.Option("--arg", metavar="NAME=VALUE", help="Give a value to an argument.")
]
Save = Annotated[
    bool, typer.Option("--save", help="Keep these arguments for the next builds; --arg overrides them.")
]
Commits = Annotated[
    list[str] | None,
    typer.Option("--commit", metavar="[TASK=]COMMIT", help="The commit that a git task takes."),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="How to print the result.")]
ShownProgress = Annotated[Progress, typer.Option("--progress", help="How to show progress.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask for anything.")]


def enter(directory: Path | None) -> None:
    """Changes to a folder. Raises UsageError when that can't be done."""
    if directory is None:
        return
    try:
        os.chdir(directory)
    except OSError as error:
        from imgbake.errors import UsageError

        raise UsageError(f"can't change to {directory}: {error.strerror}") from None


def request(file: Path, args: list[str] | None, commits: list[str] | None = None) -> Request:
    """What a command line asks for. Raises UsageError for an --arg without a value."""
    from imgbake.app.opening import Request
    from imgbake.errors import UsageError

    given: dict[str, str] = {}
    for text in args or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            shown = name or text
            raise UsageError(f"--arg {shown} has no value", hint=f"write --arg {shown or 'NAME'}=VALUE")
        given[name] = value
    chosen: dict[str, str] = {}
    for text in commits or ():
        name, equals, commit = text.rpartition("=")
        chosen[name] = commit
    return Request(file, given, chosen)


def warn(message: str) -> None:
    """Tells the user what does not stop us."""
    typer.echo(f"warning: {message}", err=True)


def print_json(document: object) -> None:
    """Prints one JSON document on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
