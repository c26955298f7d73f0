"""The commands of the command line, put together with Typer.

Modules here import nothing of imgbake at the top that a build with nothing to do does not need.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from imgbake.cli import (
    arguments,
    cache,
    distributing,
    entering,
    inspecting,
    making,
    serving,
    shortcut,
    streams,
    writing,
)
from imgbake.cli.options import Directory, FirstFile


class _Commands(TyperGroup):
    """Our commands, and those of plugins. Plugins are only looked for when a name is not ours."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if own := super().get_command(ctx, cmd_name):
            return own
        if added := self._added().get(cmd_name):
            from imgbake.cli.surroundings import Surroundings

            ctx.obj = Surroundings(shortcut.RECIPE)
        return added

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return own if ctx.resilient_parsing else [*own, *(name for name in self._added() if name not in own)]

    def _added(self) -> dict[str, Any]:
        from imgbake import plugins

        return {name: typer.main.get_command(group) for name, group in plugins.installed().commands()}


app = typer.Typer(
    cls=_Commands,
    help="Bakes container and machine images from components, and says why it did what it did.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    suggest_commands=not hasattr(click.exceptions, "NoSuchCommand"),  # newer clicks suggest by themselves
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        shortcut.show_version()
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    file: FirstFile = None,
    directory: Directory = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Bakes container and machine images from components, and says why it did what it did."""
    from imgbake.cli.options import enter

    enter(directory)
    if file is not None:
        _set_recipe(ctx, file)


def _set_recipe(ctx: typer.Context, file: Path) -> None:
    """Makes a recipe the command's default. Raises UsageError for a command that reads none."""
    name = ctx.invoked_subcommand or ""
    command = ctx.command.get_command(ctx, name) if isinstance(ctx.command, click.Group) else None
    if command is None or all(param.name != "file" for param in command.params):
        from imgbake.errors import UsageError

        raise UsageError(f"-f {file}: `imgbake {name}` reads no recipe", hint="leave it out")
    ctx.default_map = {name: {"file": str(file)}}


making.register(app)
inspecting.register(app)
arguments.register(app)
entering.register(app)
writing.register(app)
distributing.register(app)
serving.register(app)
app.add_typer(cache.app, name="cache")
app.add_typer(streams.app, name=shortcut.STREAM)
