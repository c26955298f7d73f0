"""`imgbake build` and `imgbake run`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgbake import settled
from imgbake.cli import shortcut
from imgbake.cli.options import (
    RECIPE,
    Args,
    Commits,
    Directory,
    File,
    Format,
    NoInput,
    OutputFormat,
    Progress,
    ShownProgress,
    enter,
    print_json,
    request,
    warn,
)

if TYPE_CHECKING:
    from imgbake.app import building

Names = Annotated[list[str] | None, typer.Argument(help="What to make; everything when none is named.")]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="How many nodes run at once.")]
KeepGoing = Annotated[bool, typer.Option("-k", "--keep-going", help="Go on with what a failure leaves.")]
Force = Annotated[bool, typer.Option("-B", "--force", help="Run everything, changed or not.")]
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
    dry_run: DryRun = False,
    push: Push = False,
    args: Args = None,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
    no_input: NoInput = False,
) -> None:
    """Build images and what they need: NAME, or NAME@TARGET for one target."""
    enter(directory)
    if dry_run:
        _plan(names, "image", file, args, commits, force, format)
        return
    _make("image", names, file, jobs, keep_going, force, push, args, commits, format, progress)


def run(
    names: Names = None,
    file: File = RECIPE,
    directory: Directory = None,
    jobs: Jobs = None,
    keep_going: KeepGoing = False,
    force: Force = False,
    dry_run: DryRun = False,
    args: Args = None,
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
    _make("task", names, file, jobs, keep_going, force, False, args, commits, format, progress)


def _make(
    kind: str,
    names: list[str] | None,
    file: Path,
    jobs: int | None,
    keep_going: bool,
    force: bool,
    push: bool,
    args: list[str] | None,
    commits: list[str] | None,
    format: Format,
    progress: Progress,
) -> None:
    started = time.monotonic()
    key = shortcut.key(kind, names, file, args, commits)
    found = None if force or push else settled.find(file.parent, key, os.environ)
    if found is not None:
        _show_settled(found, time.monotonic() - started, format, progress)
        return
    from imgbake import ui
    from imgbake.app import building

    order = building.Order(
        request(file, args, commits),
        kind,
        tuple(names or ()),
        jobs or building.processors(),
        keep_going,
        force,
        push,
        key,
    )
    screen = ui.for_progress(progress.value, sys.stderr, os.environ)
    try:
        outcome = building.build(order, [screen], warn)
    finally:
        screen.close()
    _show(outcome, format)


def _show_settled(found: settled.Settled, seconds: float, format: Format, progress: Progress) -> None:
    if format is Format.JSON:
        sys.stdout.write(found.report + "\n")
    else:
        shortcut.show_result(found)
    if progress is Progress.JSON:
        from imgbake.events import BuildFinished
        from imgbake.ui.json_lines import JsonLines

        JsonLines(sys.stderr).on(BuildFinished(time.time(), seconds, 0, found.nodes, 0, 0, 0))
    elif progress is not Progress.QUIET:
        shortcut.show_summary(found, seconds)


def _show(outcome: building.Outcome, format: Format) -> None:
    report = outcome.report
    if format is Format.JSON:
        from imgbake.app.building import as_json

        print_json(as_json(report, outcome.pushed))
    else:
        for line in (*outcome.lines, *(f"pushed {reference}" for reference in outcome.pushed)):
            typer.echo(line)
    if report.was_interrupted:
        raise typer.Exit(130)
    if report.count("failed"):
        raise typer.Exit(70 if report.has_bug else 1)


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
