"""`imgbake stream tag`, `import`, `sync` and `watch`: what tags point to, and where that is now."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgbake.cli.options import Args, OutputFormat
from imgbake.cli.words import Format, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app.importing import Imported
    from imgbake.app.tagging import Tagged, Tagging


class Source(StrEnum):
    """What a source is."""

    REGISTRY = "registry"
    TAG = "tag"
    IMAGE = "image"


class Policy(StrEnum):
    """Where users of a tag take images from."""

    SOURCE = "source"
    LOCAL = "local"


Every = Annotated[
    str | None, typer.Option("--every", metavar="TIME", help="Import it again so often: 15m, 24h.")
]
Cron = Annotated[
    str | None, typer.Option("--cron", metavar="TIMES", help="Import it again when cron would, in UTC.")
]
Kept = Annotated[
    Policy,
    typer.Option("--reference-policy", help="Take images from the source, or the stream's repository."),
]
Platform = Annotated[
    str, typer.Option("--platform", metavar="OS/ARCH", help="Of an index, the image for this one.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(tag)
    app.command("import")(import_tags)
    app.command()(sync)
    app.command()(watch)
    app.command()(trigger)


def tag(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="What a base can be, NAME:TAG, or NAME@DIGEST.")
    ],
    destinations: Annotated[list[str], typer.Argument(metavar="NAME:TAG…", help="The tags.")],
    kind: Annotated[
        Source | None, typer.Option("--source", help="What the source is, if it isn't found out.")
    ] = None,
    alias: Annotated[bool, typer.Option("--alias", help="Follow the tag, of the same stream.")] = False,
    every: Every = None,
    cron: Cron = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Only refer to it; what it means is not imported.")
    ] = False,
    policy: Kept = Policy.SOURCE,
    platform: Platform = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")] = "",
    format: OutputFormat = Format.TEXT,
) -> None:
    """Let tags point to an image, or say where theirs comes from."""
    from imgbake.app.tagging import Tagging
    from imgbake.streams.model import Intent

    intent = Intent(
        every=every or "", cron=cron or "", reference=reference, policy=policy.value, platform=platform
    )
    _tag(
        ctx,
        Tagging(source, tuple(destinations), kind.value if kind else "", alias, intent, reason),
        format,
    )


def _tag(ctx: typer.Context, wanted: Tagging, format: Format) -> None:
    from imgbake.app.tagging import tag as tag_all

    found = tag_all(wanted, request(ctx.obj, None), warn)
    if format is Format.JSON:
        print_json(found)
    else:
        for each in found:
            typer.echo(_tagged(each))
    _finish(ctx, None, [each.imported for each in found if each.imported], format)


def import_tags(
    ctx: typer.Context,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[:TAG]…]", help="Tags; `latest` of a stream.")
    ] = None,
    every_tag: Annotated[bool, typer.Option("--all", help="Every tag of the streams, or of all.")] = False,
    library: Annotated[
        Path | None, typer.Option("-f", metavar="FILE", help="Take over the [streams] of a file.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="SOURCE", help="Where it comes from; makes the tag.")
    ] = None,
    every: Every = None,
    cron: Cron = None,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Look where the sources of tags point to now, and let the tags point there."""
    from imgbake.app import syncing
    from imgbake.errors import UsageError

    if library is not None:
        if tags or every_tag or source or every or cron:
            raise UsageError("-f says which tags there are", hint="leave the names and other options out")
        _show(ctx, args, syncing.import_library(library, request(ctx.obj, args), warn), format)
        return
    if source is not None:
        from imgbake.app.tagging import Tagging
        from imgbake.streams.model import Intent

        if every_tag or len(tags or ()) != 1:
            raise UsageError("--from needs one tag", hint="imgbake stream import NAME:TAG --from SOURCE")
        intent = Intent(every=every or "", cron=cron or "")
        _tag(ctx, Tagging(source, tuple(tags or ()), Source.REGISTRY, False, intent, "", True), format)
        return
    if every or cron:
        raise UsageError("--every and --cron need --from", hint="or `imgbake stream tag`")
    if not tags and not every_tag:
        raise UsageError("nothing says what to import", hint="name a tag, or write --all")
    order = syncing.Order(request(ctx.obj, args), tuple(tags or ()), every_tag)
    _show(ctx, args, syncing.import_now(order, warn), format)


def sync(
    ctx: typer.Context,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[:TAG]…]", help="Streams or tags; all if none.")
    ] = None,
    force: Annotated[bool, typer.Option("-B", "--force", help="Whether it is time or not.")] = False,
    rate: Annotated[
        int, typer.Option("--rate", min=0, help="Imports from one registry in a minute; 0 is no limit.")
    ] = 0,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Import the tags that are due. For cron, systemd or CI to start."""
    from imgbake.app import syncing

    order = syncing.Order(request(ctx.obj, args), tuple(tags or ()), force=force, rate=rate)
    _show(ctx, args, syncing.sync(order, warn), format)


def trigger(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Triggers; all if none.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Print what is due, and do nothing.")
    ] = False,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Start the triggers whose tags have moved, and those that have failed."""
    from imgbake.app import triggering as due
    from imgbake.cli import triggering

    wanted = request(ctx.obj, args)
    found = due.look(wanted, warn, names or ()) if dry_run else triggering.start(wanted, names=names or ())
    if format is Format.JSON:
        print_json(found)
    elif dry_run:
        for each in found:
            typer.echo(f"{each.trigger}: {each.tag} points to {each.image}: would {', '.join(each.done)}")
        if not found:
            typer.echo("nothing is due")
    if any(each.result == "failed" for each in found):
        raise typer.Exit(1)


def watch(
    ctx: typer.Context,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[:TAG]…]", help="Streams or tags; all if none.")
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", min=0, help="Imports from one registry in a minute; 0 is no limit.")
    ] = 60,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Stay, and import tags when they are due, until interrupted."""
    from imgbake.app import syncing
    from imgbake.cli import triggering

    wanted = request(ctx.obj, args)
    triggering.fire(wanted)

    def show(imported: Sequence[Imported]) -> None:
        for each in imported:
            if format is Format.JSON:
                import msgspec

                typer.echo(msgspec.json.encode(each).decode())
            elif each.result != "same":
                typer.echo(_line(each), err=each.result == "failed")
        triggering.fire(wanted)

    order = syncing.Order(wanted, tuple(tags or ()), rate=rate)
    syncing.watch(order, warn, show)


def _tagged(tagged: Tagged) -> str:
    if tagged.is_alias:
        return f"Tag {tagged.tag} set up to track {tagged.source}."
    if tagged.is_scheduled:
        return f"Tag {tagged.tag} set to import {tagged.source} periodically."
    return f"Tag {tagged.tag} set to {tagged.source}."


def _show(ctx: typer.Context, args: list[str] | None, imported: Sequence[Imported], format: Format) -> None:
    if format is Format.JSON:
        print_json(imported)
    else:
        for each in imported:
            if each.result != "failed":
                typer.echo(_line(each))
        if not imported:
            typer.echo("nothing is to be imported")
    _finish(ctx, args, imported, format)


def _line(imported: Imported) -> str:
    match imported.result:
        case "moved":
            was = f" (was {imported.before})" if imported.before else ""
            return f"{imported.tag} points to {imported.image}{was}"
        case "same":
            return f"{imported.tag} still points to {imported.image}"
        case "dropped":
            return f"{imported.tag} was changed meanwhile, and is left as it is"
    kept = f"; it still points to {imported.image}" if imported.image else ""
    return f"{imported.tag} could not be imported: {imported.error}{kept}"


def _finish(ctx: typer.Context, args: list[str] | None, imported: Sequence[Imported], format: Format) -> None:
    """Starts the triggers of what has moved, says what failed, and ends the command accordingly."""
    from imgbake.cli import triggering

    went_well = triggering.fire(request(ctx.obj, args))
    failed = [each for each in imported if each.result == "failed"]
    for each in failed if format is Format.TEXT else ():
        typer.echo(_line(each), err=True)
        if each.hint:
            typer.echo(f"  hint: {each.hint}", err=True)
    if failed or not went_well:
        raise typer.Exit(1)
