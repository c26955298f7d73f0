"""`imgbake shell`."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated

import typer

from imgbake.cli.making import Jobs
from imgbake.cli.options import Args, Commits, Directory, File, ShownProgress, enter
from imgbake.cli.words import RECIPE, Progress, request, warn

Image = Annotated[str, typer.Argument(help="NAME, or NAME@TARGET.")]
Words = Annotated[
    list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run instead of a shell.")
]
At = Annotated[
    str, typer.Option("--at", metavar="COMPONENT", help="As the commands of this component find it.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(shell)


def shell(
    name: Image,
    words: Words = None,
    at: At = "",
    file: File = RECIPE,
    directory: Directory = None,
    jobs: Jobs = None,
    args: Args = None,
    commits: Commits = None,
    progress: ShownProgress = Progress.AUTO,
) -> None:
    """Open a shell in a throw-away copy of an image. Builds what is needed first."""
    enter(directory)
    from imgbake import ui
    from imgbake.app import building, entering
    from imgbake.errors import UsageError

    if not words and not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = "name a command: imgbake shell NAME -- ls /"
        raise UsageError("a shell needs a terminal", hint=hint)
    wanted = request(file, args, commits)
    order = building.Order(wanted, "image", (name,), jobs or building.processors())
    screen = ui.for_progress(progress.value, sys.stderr, os.environ)
    try:
        needed = entering.build(order, at, [screen], warn)
    finally:
        screen.close()
    shown = ui.for_progress("quiet" if progress is Progress.QUIET else "plain", sys.stderr, os.environ)
    raise typer.Exit(entering.enter(needed, (shlex.join(words),) if words else (), shown, warn))
