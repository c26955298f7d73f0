"""`imgbake stream`: tags that remember, as far as nobody has to be asked where they point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from imgbake.cli import following
from imgbake.cli.options import Directory, File, OutputFormat, enter
from imgbake.cli.words import RECIPE, Format, print_json

if TYPE_CHECKING:
    from imgbake.app.streams import Streams
    from imgbake.streams.names import Named

app = typer.Typer(
    help="Look after image streams. Their tags point to exact images, and remember what they pointed to.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    suggest_commands=not hasattr(click.exceptions, "NoSuchCommand"),  # newer clicks suggest by themselves
    context_settings={"help_option_names": ["-h", "--help"]},
)

OneTag = Annotated[str, typer.Argument(metavar="NAME[:TAG]", help="A tag; `latest` when none is named.")]
SomeStreams = Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Streams; all if none.")]


@app.callback()
def root(ctx: typer.Context, file: File = RECIPE, directory: Directory = None) -> None:
    """Look after image streams. Their tags point to exact images, and remember what they pointed to."""
    enter(directory)
    ctx.obj = file


@app.command("ls")
def list_streams(ctx: typer.Context, streams: SomeStreams = None, format: OutputFormat = Format.TEXT) -> None:
    """List streams; or, of those that are named, the tags."""
    from imgbake.app.streams import read
    from imgbake.streams.clock import now

    found = read(_streams(ctx).shelf, streams or ())
    if format is Format.JSON:
        print_json([_tags_as_json(name, each) for name, each in found.items()])
        return
    from imgbake.ui import streams as words
    from imgbake.ui.tables import table

    moment = now()
    if streams:
        rows = [row for name, each in found.items() for row in words.tags(name, each, moment)]
        _show_table(table, rows, ("TAG", "IMAGE", "SINCE", "STATE"))
        return
    summary = []
    for name, each in found.items():
        moved = max((tag.history[0].created for tag in each.tags.values() if tag.history), default=None)
        tags = words.ordered(each.tags)
        few = ", ".join(tags[:5]) + (f" and {len(tags) - 5} more" if len(tags) > 5 else "")
        summary.append((name, str(len(tags)), few, words.age(moved, moment) if moved else ""))
    _show_table(table, summary, ("NAME", "COUNT", "TAGS", "MOVED"))


@app.command()
def describe(ctx: typer.Context, streams: SomeStreams = None, format: OutputFormat = Format.TEXT) -> None:
    """Print all there is to know of streams."""
    from imgbake.app.streams import read
    from imgbake.streams.clock import now

    opened = _streams(ctx)
    found = read(opened.shelf, streams or ())
    if format is Format.JSON:
        import msgspec

        print_json(
            [
                {"name": name, "namespace": opened.project, **msgspec.to_builtins(each)}
                | {"unique_images": len(each.images), "followers": each.followers()}
                for name, each in found.items()
            ]
        )
        return
    from imgbake.ui.streams import describe as text

    if found:
        typer.echo("\n\n".join(text(name, opened.project, each, now()) for name, each in found.items()))


@app.command()
def history(ctx: typer.Context, tag: OneTag, format: OutputFormat = Format.TEXT) -> None:
    """List where a tag pointed, the newest first."""
    from imgbake.app.streams import tag_of
    from imgbake.streams.clock import now

    _, found = tag_of(_streams(ctx).shelf, _tag(tag))
    if format is Format.JSON:
        print_json(found.history)
        return
    from imgbake.ui import streams as words
    from imgbake.ui.tables import table

    _show_table(table, words.history(found, now()), ("IMAGE", "SINCE", "BY", "REFERENCE"))


@app.command()
def image(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME@DIGEST|NAME:TAG", help="The digest may be cut short.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if the tag is meant to point elsewhere by now.")
    ] = False,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Print what is known of an image."""
    from imgbake.app.streams import image as find
    from imgbake.streams.names import parse

    found = find(_streams(ctx).shelf, parse(name), strict=strict)
    if format is Format.JSON:
        print_json(found)
        return
    from imgbake.streams.clock import now
    from imgbake.ui.streams import image as text

    typer.echo(text(found.stream, found.image, found.reference, found.known, found.tags, found.since, now()))


@app.command()
def rollback(
    ctx: typer.Context,
    tag: OneTag,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIGEST", help="To this image of its history.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="So many images back.")] = 1,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")] = "",
    format: OutputFormat = Format.TEXT,
) -> None:
    """Let a tag point to what it pointed to before, and hold it there. No registry is asked."""
    from imgbake.app.streams import roll_back
    from imgbake.streams.clock import now

    named = _tag(tag)
    changed = roll_back(_streams(ctx).shelf, named, now(), to=to or "", steps=steps, reason=reason)
    assert changed.after is not None
    current = changed.after.tags[named.tag].history[0]
    if format is Format.JSON:
        print_json({"tag": str(named), "image": current.image, "reference": current.reference})
        return
    typer.echo(f"Tag {named} points to {current.reference} again.")
    typer.echo(f"It is held: `imgbake stream release {named}` lets it move by itself.")


@app.command()
def release(ctx: typer.Context, tags: Annotated[list[str], typer.Argument(metavar="NAME[:TAG]…")]) -> None:
    """Let tags that a rollback holds be imported, and trigger, again."""
    from imgbake.app.streams import release as release_tag

    for tag in tags:
        named = _tag(tag)
        was_held = release_tag(_streams(ctx).shelf, named)
        typer.echo(f"Tag {named} released." if was_held else f"Tag {named} was not held.")
    from imgbake.cli import triggering
    from imgbake.cli.words import request

    if not triggering.fire(request(ctx.obj, None)):
        raise typer.Exit(1)


@app.command("rm")
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME[:TAG]…", help="Streams, or tags of them.")],
) -> None:
    """Remove streams or tags: what was meant, and where they pointed."""
    from imgbake.app.streams import remove as remove_one
    from imgbake.streams.names import parse

    for name in names:
        named = parse(name)
        remove_one(_streams(ctx).shelf, named)
        typer.echo(f"Deleted {'tag' if named.tag else 'stream'} {named}.")


@app.command()
def prune(
    ctx: typer.Context,
    streams: SomeStreams = None,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Of each tag, so many newest images.")] = 3,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Only what is older than this: 30d.")
    ] = "1h",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only printed.")] = False,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Shorten histories. What a tag or a distribution needs stays."""
    from datetime import timedelta

    from imgbake.app.streams import distributed
    from imgbake.app.streams import prune as prune_streams
    from imgbake.store.sizes import parse_age
    from imgbake.streams.clock import now

    before = now() - timedelta(seconds=parse_age(older_than, "--older-than"))
    held = distributed(ctx.obj)
    pruned = prune_streams(_streams(ctx).shelf, streams or (), keep, before, held, confirm=yes)
    if format is Format.JSON:
        print_json([{"tag": tag, "image": each.image, "reference": each.reference} for tag, each in pruned])
        return
    for tag, each in pruned:
        typer.echo(f"{'removed' if yes else 'would remove'} {tag} {each.image}")
    if not pruned:
        typer.echo("nothing is to be removed")
    elif not yes:
        typer.echo("nothing was removed: --yes does it")


@app.command()
def export(
    ctx: typer.Context,
    streams: SomeStreams = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file, instead of the output.")
    ] = None,
) -> None:
    """Print streams as tables of TOML, which `imgbake stream import -f` takes."""
    from imgbake.app.streams import as_toml, read

    text = as_toml(read(_streams(ctx).shelf, streams or ()))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")


def _streams(ctx: typer.Context) -> Streams:
    from imgbake.app.streams import of_project

    return of_project(ctx.obj)


def _tag(text: str) -> Named:
    from imgbake.streams.names import parse_tag

    return parse_tag(text)


def _tags_as_json(name: str, stream: Any) -> dict[str, Any]:
    return {
        "name": name,
        "tags": [
            {
                "tag": tag,
                "image": entry.history[0].image if entry.history else "",
                "since": entry.history[0].created if entry.history else None,
                "pending": entry.is_pending,
                "held": entry.hold is not None,
                "error": entry.failure.message if entry.failure else "",
            }
            for tag, entry in stream.tags.items()
        ],
    }


def _show_table(table: Any, rows: list[Any], header: tuple[str, ...]) -> None:
    if rows:
        typer.echo(table(rows, header))


following.register(app)
