"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from imgbake.cli.words import Format, Progress

File = Annotated[Path, typer.Option("-f", "--file", help="The recipe.", show_default="imgbake.toml")]
FirstFile = Annotated[  # before the command, where make and ninja take it
    Path | None, typer.Option("-f", "--file", help="The recipe.", show_default="imgbake.toml")
]
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
