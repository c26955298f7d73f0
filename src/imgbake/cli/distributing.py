"""`imgbake distribute` and `imgbake copy`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgbake.cli.making import Jobs
from imgbake.cli.options import Args, Directory, File, OutputFormat, ShownProgress, enter
from imgbake.cli.words import RECIPE, Format, Progress, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app.distributing import Arrival, Outcome
    from imgbake.app.opening import Request
    from imgbake.app.rolling_back import Back
    from imgbake.app.ways import Step
    from imgbake.ui import Screen


class Verify(StrEnum):
    """How a copy is verified."""

    DIGEST = "digest"
    FULL = "full"


Verified = Annotated[
    Verify, typer.Option("--verify", help="Read back the digests, or in full all that they stand for.")
]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Print the plan, and do nothing.")]
Force = Annotated[
    bool,
    typer.Option(
        "-B", "--force", help="Look for every part at the destinations, even where all seems to be there."
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(distribute)
    app.command()(copy)


def distribute(
    names: Annotated[list[str] | None, typer.Argument(help="Distributions; all if none.")] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="DEST", help="Only to this destination; may be repeated."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Put names back to what they meant before the last change.")
    ] = False,
    dry_run: DryRun = False,
    verify: Verified = Verify.DIGEST,
    force: Force = False,
    file: File = RECIPE,
    directory: Directory = None,
    jobs: Jobs = None,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
) -> None:
    """Take finished images to their destinations: content first, names when all of it is there."""
    import msgspec

    from imgbake.app import building, distributing

    enter(directory)
    wanted = msgspec.structs.replace(request(file, args), to=tuple(to or ()))
    jobs = jobs or building.processors()
    order = distributing.Order(wanted, tuple(names or ()), jobs, force, verify is Verify.FULL)
    if rollback:
        _roll_back(wanted, names or (), dry_run, format, progress)
    elif dry_run:
        _show_plan(distributing.plan(order, warn), format)
    else:
        show = _announcing(progress)
        _show(_watched(progress, lambda screen: distributing.distribute(order, [screen], warn, show)), format)


def copy(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A registry's reference, oci:DIR[:TAG] or oci-archive:FILE.")
    ],
    destinations: Annotated[
        list[str], typer.Argument(metavar="DST…", help="Registries' references, or oci:DIR[:TAG].")
    ],
    platforms: Annotated[
        list[str] | None,
        typer.Option(
            "--platform", metavar="OS/ARCH", help="Of an index, only this platform; may be repeated."
        ),
    ] = None,
    referrers: Annotated[
        bool,
        typer.Option("--referrers/--no-referrers", help="Take signatures, SBOMs and attestations along."),
    ] = True,
    atomic: Annotated[
        bool,
        typer.Option("--atomic/--no-atomic", help="Move no name before all destinations have everything."),
    ] = True,
    dry_run: DryRun = False,
    verify: Verified = Verify.DIGEST,
    force: Force = False,
    directory: Directory = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
) -> None:
    """Copy an image, without a recipe, to any number of places; each part of it is read once."""
    from imgbake.app import copying

    enter(directory)
    said: dict[str, Any] = {"platforms": list(platforms)} if platforms else {}
    said |= {} if referrers else {"referrers": False}
    wanted = copying.Copy(source, tuple(destinations), said, atomic, force, verify is Verify.FULL)
    if dry_run:
        _show_plan(copying.plan(wanted, warn), format)
    else:
        show = _announcing(progress)
        _show(_watched(progress, lambda screen: copying.copy(wanted, [screen], warn, show)), format)


def _roll_back(
    wanted: Request, names: Sequence[str], dry_run: bool, format: Format, progress: Progress
) -> None:
    from imgbake.app import rolling_back
    from imgbake.errors import UsageError

    if dry_run:
        raise UsageError("--rollback and -n don't go together", hint="leave one out")
    found = _watched(progress, lambda screen: rolling_back.rollback(wanted, names, warn, [screen]))
    _show_back(found, format)


def _watched(progress: Progress, work: Callable[[Screen], Any]) -> Any:
    from imgbake import ui

    screen = ui.for_progress(progress.value, sys.stderr, os.environ)
    try:
        return work(screen)
    finally:
        screen.close()


def _announcing(progress: Progress) -> Callable[[Sequence[Step]], None]:
    """What shows the plan before it is carried out: on stderr, where progress is."""

    def show(steps: Sequence[Step]) -> None:
        if progress in (Progress.QUIET, Progress.JSON):
            return
        typer.echo(_plan_table(steps), err=True)

    return show


def _plan_table(steps: Sequence[Step]) -> str:
    from imgbake.ui.tables import table

    rows = [(step.action, step.way.image, step.way.destination, _names(step), step.why) for step in steps]
    return table(rows, ("ACTION", "IMAGE", "DESTINATION", "NAMES", "WHY"))


def _names(step: Step) -> str:
    return ", ".join(pointer.rpartition("/")[2] for pointer in step.way.pointers)


def _show_plan(steps: Sequence[Step], format: Format) -> None:
    if format is Format.JSON:
        print_json([{**_way(step), "action": step.action, "why": step.why} for step in steps])
    else:
        typer.echo(_plan_table(steps))
    if any(step.action == "error" for step in steps):
        raise typer.Exit(1)


def _show(outcome: Outcome, format: Format) -> None:
    if format is Format.JSON:
        rows = [
            {**_way(each), "result": each.result, "sent": each.sent, "seconds": round(each.seconds, 3),
             "reference": each.reference, "error": each.error}
            for each in outcome.arrivals
        ]  # fmt: skip
        print_json({"seconds": round(outcome.report.seconds, 3), "arrivals": rows})
    else:
        typer.echo(_arrivals_table(outcome.arrivals))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _way(each: Step | Arrival) -> dict[str, object]:
    way = each.way
    return {
        "distribution": way.distribution,
        "image": way.image,
        "destination": way.destination,
        "pointers": list(way.pointers),
    }


def _arrivals_table(arrivals: Sequence[Arrival]) -> str:
    from imgbake.ui.tables import duration, size, table

    rows = []
    for each in arrivals:
        rate = f"{size(each.sent / each.seconds)}/s" if each.sent and each.seconds else ""
        last = each.error.partition("\n")[0] or each.reference
        way = each.way
        rows.append(
            (each.result, way.image, way.destination, size(each.sent), rate, duration(each.seconds), last)
        )
    return table(
        rows, ("RESULT", "IMAGE", "DESTINATION", "SENT", "RATE", "TIME", "REFERENCE"), right=(3, 4, 5)
    )


def _show_back(found: Sequence[Back], format: Format) -> None:
    from imgbake.app.distributing import exit_code

    if format is Format.JSON:
        print_json(
            [
                {"pointer": each.move.pointer, "reference": each.move.before, "error": each.error}
                for each in found
            ]
        )
    else:
        from imgbake.ui.tables import table

        rows = [
            (
                "failed" if each.error else "put back",
                each.move.pointer,
                each.error or each.move.before or "removed",
            )
            for each in found
        ]
        typer.echo(table(rows, ("RESULT", "NAME", "MEANS")))
    if code := exit_code([not each.error for each in found]):
        raise typer.Exit(code)
