"""`imgbake args`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from imgbake.cli.options import Args, Directory, File, OutputFormat, Save, enter
from imgbake.cli.words import RECIPE, Format, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app.arguments import Listed


HEADER = ("ARGUMENT", "OF", "VALUE", "FROM", "DEFAULT", "HELP")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("args")(show_args)


def show_args(
    names: Annotated[
        list[str] | None, typer.Argument(help="Images or tasks; all of them when none is named.")
    ] = None,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    save: Save = False,
    format: OutputFormat = Format.TEXT,
) -> None:
    """List the arguments that images and tasks read. Of each, its default, its value, and what gave it."""
    enter(directory)
    from imgbake.app import opening
    from imgbake.app.arguments import listed

    wanted = request(file, args)
    project = opening.open_project(wanted, warn, is_read_only=not save)
    nodes = [node for name in names or () for node in opening.either(project, name)]
    found = listed(project, nodes or tuple(project.graph.nodes))
    if save:
        opening.save_args(project, wanted.args, warn)
    if format is Format.JSON:
        print_json([_document(each) for each in found])
    elif found:
        from imgbake.ui.tables import table

        typer.echo(table([_row(each) for each in found], HEADER))


def _row(found: Listed) -> tuple[str, ...]:
    value = "needed" if found.is_needed else ""
    if found.is_given:
        value = "(secret)" if found.is_secret else found.value or '""'
    origin = f"${found.env}" if found.origin == "environment" else found.origin
    choices = f"one of {', '.join(found.choices)}" if found.choices else ""
    about = "; ".join(filter(None, (found.help, choices, found.at)))
    return found.name, found.place or "the recipe", value, origin, found.default or "", about


def _document(found: Listed) -> dict[str, object]:
    return {
        "name": found.name,
        "needed": found.is_needed,
        "given": found.is_given,
        "value": found.value,
        "from": found.origin,
        "default": found.default,
        "secret": found.is_secret,
        "env": found.env,
        "choices": found.choices,
        "help": found.help,
        "of": found.place,
        "at": found.at,
        "readers": found.readers,
    }
