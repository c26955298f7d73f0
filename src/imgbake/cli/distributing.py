"""`imgbake distribute` and `imgbake copy`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from imgbake.cli import deliveries
from imgbake.cli.builds import Shown
from imgbake.cli.deliveries import Copied, Distributed
from imgbake.cli.making import Jobs
from imgbake.cli.options import Args, Commits, Directory, File, OutputFormat, ShownProgress, enter
from imgbake.cli.words import RECIPE, Format, Progress


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
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
    progress: ShownProgress = Progress.AUTO,
) -> None:
    """Take finished images to their destinations. Names move when all content is there."""
    enter(directory)
    verifies_all = verify is Verify.FULL
    wanted = Distributed(names or [], to or (), file, args, commits, jobs, force, verifies_all)
    shown = Shown(format, progress)
    if rollback:
        _end(deliveries.roll_back(wanted, shown, dry_run=dry_run))
    elif dry_run:
        _end(deliveries.plan(wanted, format))
    else:
        _end(deliveries.make(wanted, shown))


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
    """Copy an image, without a recipe, to any number of places. Each part of it is read once."""
    enter(directory)
    verifies_all = verify is Verify.FULL
    wanted = Copied(source, destinations, platforms or (), referrers, atomic, force, verifies_all)
    _end(deliveries.plan(wanted, format) if dry_run else deliveries.make(wanted, Shown(format, progress)))


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
