"""`imgbake build` and `imgbake run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgbake.cli import builds
from imgbake.cli.builds import Shown, Wanted
from imgbake.cli.options import (
    Args,
    Commits,
    Directory,
    File,
    NoInput,
    OutputFormat,
    Save,
    ShownProgress,
    enter,
)
from imgbake.cli.words import RECIPE, Format, Progress, request

Names = Annotated[list[str] | None, typer.Argument(help="What to make; everything when none is named.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "-j", "--jobs", min=1, help="How many nodes run at once.", show_default="one for each processor"
    ),
]
KeepGoing = Annotated[bool, typer.Option("-k", "--keep-going", help="Go on with what a failure leaves.")]
Force = Annotated[bool, typer.Option("-B", "--force", help="Run everything, changed or not.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave what is only made to bake with, to look at it.")]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Print the plan, and do nothing.")]
Push = Annotated[bool, typer.Option("--push", help="Push to the tags of the targets, when all is done.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(build)
    app.command()(run)


def build(
    names: Names = None,
    file: File = RECIPE,
    directory: Directory = None,
    jobs: Jobs = None,
    keep_going: KeepGoing = False,
    force: Force = False,
    keep: Keep = False,
    dry_run: DryRun = False,
    push: Push = False,
    args: Args = None,
    save: Save = False,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
    no_input: NoInput = False,
) -> None:
    """Build images and what they need. NAME is an image, NAME@TARGET what one target makes of it."""
    enter(directory)
    if dry_run:
        _plan(names, "image", file, args, commits, force, format)
        return
    wanted = Wanted("image", names, file, args, commits, jobs, keep_going, force, keep, push, save)
    _make(wanted, Shown(format, progress, asks=not no_input))


def run(
    names: Names = None,
    file: File = RECIPE,
    directory: Directory = None,
    jobs: Jobs = None,
    keep_going: KeepGoing = False,
    force: Force = False,
    dry_run: DryRun = False,
    args: Args = None,
    save: Save = False,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
    no_input: NoInput = False,
) -> None:
    """Run tasks and what they need, as make would."""
    enter(directory)
    if dry_run:
        _plan(names, "task", file, args, commits, force, format)
        return
    wanted = Wanted("task", names, file, args, commits, jobs, keep_going, force, save=save)
    _make(wanted, Shown(format, progress, asks=not no_input))


def _make(wanted: Wanted, shown: Shown) -> None:
    if code := builds.make(wanted, shown):
        raise typer.Exit(code)


def _plan(
    names: list[str] | None,
    kind: str,
    file: Path,
    args: list[str] | None,
    commits: list[str] | None,
    force: bool,
    format: Format,
) -> None:
    from imgbake.cli.inspecting import show_plan

    show_plan(names, kind, request(file, args, commits), force=force, format=format)
