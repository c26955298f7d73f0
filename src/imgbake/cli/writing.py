"""`imgbake init`, `check`, `schema`, `lock` and `export`: what writes files for the user."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from imgbake.cli.options import Args, Commits, Directory, File, OutputFormat, enter
from imgbake.cli.words import RECIPE, Format, print_json, request, warn


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(init)
    app.command()(check)
    app.command()(schema)
    app.command()(lock)
    app.command()(export)


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", show_default=False)] = Path(),
    format: OutputFormat = Format.TEXT,
) -> None:
    """Write a starter recipe."""
    from imgbake.errors import UsageError
    from imgbake.recipe import starter

    path = folder / RECIPE
    if path.exists():
        raise UsageError(f"{path} is already there", hint="imgbake never overwrites a recipe")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in starter.files(folder.resolve().name).items():
        target = folder / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            written.append(str(target))
    if format is Format.JSON:
        print_json({"written": written})
        return
    for name in written:
        typer.echo(f"wrote {name}")
    typer.echo("next: imgbake build" + (f" -C {shlex.quote(str(folder))}" if folder != Path() else ""))


def check(
    file: File = RECIPE, directory: Directory = None, args: Args = None, format: OutputFormat = Format.TEXT
) -> None:
    """Print everything that is wrong with the recipe."""
    enter(directory)
    from imgbake.app.opening import open_project
    from imgbake.errors import RecipeError

    try:
        project = open_project(request(file, args), warn, is_read_only=True)
    except RecipeError as error:
        if format is Format.TEXT:
            raise
        print_json({"problems": error.problems})
        raise typer.Exit(error.exit_code) from None
    counts = {
        "tasks": len(project.recipe.tasks),
        "components": len(project.recipe.components),
        "images": len(project.recipe.images),
        "nodes": len(project.graph.nodes),
    }
    if format is Format.JSON:
        print_json({"problems": [], **counts})
    else:
        from imgbake.ui.tables import counted

        said = (counted(count, names.removesuffix("s"), names) for names, count in counts.items())
        typer.echo(f"{file}: good: {', '.join(said)}")


def schema() -> None:
    """Print the JSON Schema of recipes. It has the options of every installed plugin."""
    from imgbake import plugins
    from imgbake.recipe.schema import json_schema

    print_json(json_schema(plugins.installed()))


def lock(
    names: Annotated[list[str] | None, typer.Argument(help="Bases or git tasks to move.")] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Move what is pinned already.")] = False,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Pin bases and git refs in imgbake.lock. Builds stay with what they are now."""
    enter(directory)
    from imgbake.app import pinning
    from imgbake.app.opening import open_project

    with closing(open_project(request(file, args), warn)) as project:
        locked = pinning.lock(project, tuple(names or ()), upgrade=upgrade)
    if format is Format.JSON:
        print_json(locked)
        return
    for entry in locked:
        moved = f"{entry.before} -> " if entry.what == "moved" else ""
        typer.echo(f"{entry.what}  {entry.pin.key}  {moved}{entry.pin.value}")
    if not locked:
        typer.echo("nothing here moves by itself")


def export(
    name: Annotated[
        str, typer.Argument(metavar="NAME[@TARGET]", help="An image that was built, or stream:NAME:TAG.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write it.")],
    form: Annotated[
        str, typer.Option("--format", help="A format that the target offers; its first if none.")
    ] = "",
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    commits: Commits = None,
) -> None:
    """Write a built image as files, whole or not at all."""
    from imgbake.app import copying, opening, shipping
    from imgbake.errors import UsageError
    from imgbake.streams import names

    if output == Path("-"):  # elsewhere it means the output
        raise UsageError("an image is not exported to the output", hint="name a file or a folder")
    enter(directory)
    output = output.absolute()
    if name.startswith(names.PREFIX):
        typer.echo(f"{output}  {copying.export(name, output, form, file, warn)}")
        return
    with closing(opening.open_project(request(file, args, commits), warn)) as project:
        node = opening.node(project, name, "image")
        typer.echo(f"{output}  {shipping.export(project, node, output, form)}")
