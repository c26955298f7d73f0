"""A build, from what a command line asks for to what is printed of it, and the exit code.

Typer is not needed for that: the plainest command lines come here without it, see `shortcut`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imgbake.cli import shortcut
from imgbake.cli.words import RECIPE, Format, Progress, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app import building
    from imgbake.engine.settled import Settled
    from imgbake.errors import MissingArguments


class Wanted(NamedTuple):
    """What is to be made, and how."""

    kind: str  # "image" or "task"
    names: list[str] | None
    file: Path = RECIPE
    args: list[str] | None = None
    commits: list[str] | None = None
    jobs: int | None = None
    keep_going: bool = False
    force: bool = False
    keep: bool = False  # what is only made to bake with
    push: bool = False
    save: bool = False

    @property
    def key(self) -> str:
        """Under which it is settled, once nothing is left to do."""
        return shortcut.key(self.kind, self.names, [str(self.file)], self.args, self.commits)


class Shown(NamedTuple):
    """How it is shown, and whether the user may be asked."""

    format: Format = Format.TEXT
    progress: Progress = Progress.AUTO
    asks: bool = True


def make(wanted: Wanted, shown: Shown) -> int:
    """Makes what is wanted, unless there is nothing to do. Raises BakeError when it can't begin."""
    started = time.monotonic()
    must_run = wanted.force or wanted.push or wanted.save
    found = None if must_run else shortcut.find(wanted.key, str(wanted.file))
    if found is None:
        return build(wanted, shown)
    show_settled(found, time.monotonic() - started, shown)
    return 0


def build(wanted: Wanted, shown: Shown) -> int:
    """The same, when it is known that there is something to do."""
    from imgbake.app import building

    order = building.Order(
        request(wanted.file, wanted.args, wanted.commits),
        wanted.kind,
        tuple(wanted.names or ()),
        wanted.jobs or building.processors(),
        wanted.keep_going,
        wanted.force,
        wanted.keep,
        wanted.push,
        wanted.save,
        wanted.key,
    )
    outcome = _built(order, shown)
    _show(outcome, shown.format)
    report = outcome.report
    if report.was_interrupted:
        return 130
    code = 70 if report.has_bug else int(report.count("failed") > 0)
    if outcome.has_triggers and (wanted.keep_going or not code):
        from imgbake.cli import triggering

        return triggering.after(code, order.request, shown.progress)
    return code


def _built(order: building.Order, shown: Shown) -> building.Outcome:
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
        given = _asked(error)
    finally:
        screen.close()
    return _built(building.with_args(order, given), shown)


def _asked(error: MissingArguments) -> dict[str, str]:
    """What the user types for each argument; secrets are not shown."""
    import typer

    from imgbake.errors import Interrupted

    try:
        return {
            name: typer.prompt(_question(name, error), hide_input=error.is_secret(name), err=True)
            for name in error.names
        }
    except typer.Abort:
        sys.stderr.write("\n")  # to end the line of the question
        raise Interrupted from None


def _question(name: str, error: MissingArguments) -> str:
    about = error.about.get(name)
    return f"{name} ({about})" if about else name


def show_settled(found: Settled, seconds: float, shown: Shown) -> None:
    """Prints what a run with nothing to do has to say."""
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
    if format is Format.JSON:
        from imgbake.app.building import as_json

        print_json(as_json(outcome.report, outcome.pushed))
        return
    pushed = (f"pushed {reference}" for reference in outcome.pushed)
    sys.stdout.writelines(line + "\n" for line in (*outcome.lines, *pushed))
