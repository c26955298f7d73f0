"""`imgbake build` and `imgbake run`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

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
    Save,
    ShownProgress,
    enter,
    print_json,
    request,
    warn,
)

if TYPE_CHECKING:
    from imgbake.app import building
    from imgbake.engine.settled import Settled

Names = Annotated[list[str] | None, typer.Argument(help="What to make; everything when none is named.")]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="How many nodes run at once.")]
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
    """Build images and what they need: NAME, or NAME@TARGET for one target."""
    enter(directory)
    if dry_run:
        _plan(names, "image", file, args, commits, force, format)
        return
    shown = _Shown(format, progress, asks=not no_input)
    how = _How(jobs, keep_going, force, keep, push)
    _make(_Wanted("image", names, file, args, commits, save), how, shown)


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
    shown = _Shown(format, progress, asks=not no_input)
    _make(_Wanted("task", names, file, args, commits, save), _How(jobs, keep_going, force), shown)


class _Wanted(NamedTuple):
    """What the command line names."""

    kind: str
    names: list[str] | None
    file: Path
    args: list[str] | None
    commits: list[str] | None
    save: bool


class _How(NamedTuple):
    """How it is made."""

    jobs: int | None
    keep_going: bool
    force: bool
    keep: bool = False
    push: bool = False


class _Shown(NamedTuple):
    """How it is shown, and whether the user may be asked."""

    format: Format
    progress: Progress
    asks: bool


def _make(wanted: _Wanted, how: _How, shown: _Shown) -> None:
    started = time.monotonic()
    key = shortcut.key(wanted.kind, wanted.names, str(wanted.file), wanted.args, wanted.commits)
    found = None if how.force or how.push or wanted.save else shortcut.find(key, str(wanted.file))
    if found is not None:
        _show_settled(found, time.monotonic() - started, shown)
        return
    from imgbake.app import building

    order = building.Order(
        request(wanted.file, wanted.args, wanted.commits),
        wanted.kind,
        tuple(wanted.names or ()),
        how.jobs or building.processors(),
        how.keep_going,
        how.force,
        how.keep,
        how.push,
        wanted.save,
        key,
    )
    _show(_built(order, shown), shown.format)


def _built(order: building.Order, shown: _Shown) -> building.Outcome:
    """Builds; on a terminal, after asking for the arguments that are missing."""
    from imgbake import ui
    from imgbake.app import building
    from imgbake.errors import MissingArguments

    screen = ui.for_progress(shown.progress.value, sys.stderr, os.environ)
    try:
        return building.build(order, [screen], warn)
    except MissingArguments as error:
        if not shown.asks or not sys.stdin.isatty():
            raise
        given = {name: typer.prompt(name, hide_input=error.is_secret(name), err=True) for name in error.names}
    finally:
        screen.close()
    return _built(building.with_args(order, given), shown)


def _show_settled(found: Settled, seconds: float, shown: _Shown) -> None:
    if shown.progress is Progress.JSON:
        from imgbake.events import BuildFinished
        from imgbake.ui.json_lines import JsonLines

        JsonLines(sys.stderr).on(BuildFinished(time.time(), seconds, 0, found.nodes, 0, 0, 0))
    elif shown.progress is not Progress.QUIET:
        shortcut.show_summary(found, seconds)
    if shown.format is Format.JSON:
        sys.stdout.write(found.report + "\n")
    else:
        shortcut.show_result(found)


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
