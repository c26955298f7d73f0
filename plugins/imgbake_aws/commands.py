"""`imgbake ami`: the AMIs that imgbake made, and removing those that nobody needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from imgbake.api import CommandContext, UsageError, parse_age

if TYPE_CHECKING:
    from imgbake_aws.owned import Ami

app = typer.Typer(
    help="Look after the AMIs that imgbake made.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="Where to look. Default: where this project's AMIs are."),
]
Profile = Annotated[str, typer.Option("--profile", help="The profile of AWS's configuration.")]
Project = Annotated[
    str | None, typer.Option("--project", help="The project that made them.", show_default="this folder's")
]
Everybody = Annotated[bool, typer.Option("--all-projects", help="Those of all projects.")]
Format = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print the result.")]


@app.command("ls")
def list_amis(
    ctx: typer.Context,
    region: Regions = None,
    profile: Profile = "",
    project: Project = None,
    all_projects: Everybody = False,
    format: Format = "text",
) -> None:
    """List the AMIs that imgbake made, and what points to them."""
    from imgbake_aws import pruning

    found = pruning.listed(ctx.obj, region or (), profile, _project(ctx.obj, project, all_projects))
    if format == "json":
        typer.echo(json.dumps([msgspec.to_builtins(ami) for ami in found], indent=2))
    elif found:
        typer.echo(_table(ctx.obj, found))


@app.command()
def prune(
    ctx: typer.Context,
    keep: Annotated[
        int | None, typer.Option("--keep", min=0, help="Keep so many of each image and region, the newest.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Remove only what is older than this: 30d.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them, instead of only saying which.")] = False,
    region: Regions = None,
    profile: Profile = "",
    project: Project = None,
    all_projects: Everybody = False,
    format: Format = "text",
) -> None:
    """Remove AMIs that nothing points to, with their snapshots. Without --yes, say only which.

    Kept is what this project made last or starts from, what a name at a destination means or meant before,
    and what an instance, a launch template or configuration, or an SSM parameter points to.
    """
    from imgbake_aws import pruning

    if keep is None and older_than is None:
        raise UsageError("nobody says which AMIs may go", hint="give --keep N, --older-than AGE, or both")
    age = 0.0 if older_than is None else parse_age(older_than, "--older-than")
    whose = _project(ctx.obj, project, all_projects)
    regions = pruning.regions(ctx.obj.artifacts(), region or (), profile)
    found = pruning.listed(ctx.obj, regions, profile, whose)
    chosen = pruning.unneeded(found, keep or 0, age)
    kept = len(found) - len(chosen)
    left = pruning.left(regions, profile, whose)
    snapshots = [*(snapshot for snapshot, _ in left), *(each for ami in chosen for each in ami.snapshots)]
    if yes:
        snapshots = [each for each, place in left if pruning.remove_snapshot(each, place, profile)]
        snapshots += [snapshot for ami in chosen for snapshot in pruning.remove(ami, profile)]
    if format == "json":
        amis = [msgspec.to_builtins(ami) for ami in chosen]
        typer.echo(json.dumps({"removed": yes, "amis": amis, "snapshots": snapshots, "kept": kept}, indent=2))
        return
    if chosen:
        typer.echo(_table(ctx.obj, chosen))
    what = f"{_counted(chosen, 'AMI')} and {_counted(snapshots, 'snapshot')}"
    said = f"removed {what}" if yes else f"would remove {what}; nothing was removed: --yes does it"
    typer.echo(f"{said}, kept {kept}" if chosen or snapshots else f"nothing to remove, kept {kept}")


def _project(ctx: CommandContext, named: str | None, everybody: bool) -> str:
    """The project whose AMIs are meant; empty for all. Raises UsageError."""
    if everybody:
        if named:
            raise UsageError("--project and --all-projects exclude each other")
        return ""
    found = named or ctx.project()
    if not found:
        hint = "change to the project's folder, or give --project NAME or --all-projects"
        raise UsageError("there is no imgbake.toml here that says which project is meant", hint=hint)
    return found


def _counted(things: Sequence[object], what: str) -> str:
    return f"{len(things)} {what}" if len(things) == 1 else f"{len(things)} {what}s"


def _table(ctx: CommandContext, amis: list[Ami]) -> str:
    rows = [
        (
            ami.id,
            ami.region,
            ami.project,
            f"{ami.image}@{ami.target}",
            ami.created[:16].replace("T", " "),
            ami.state,
            ", ".join(ami.used_by) or "-",
        )
        for ami in amis
    ]
    return ctx.table(rows, ("AMI", "REGION", "PROJECT", "IMAGE", "CREATED", "STATE", "USED BY"))
