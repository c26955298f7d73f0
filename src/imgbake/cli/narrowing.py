"""Of all commands, the one that is meant: Typer evaluates the annotations of every command that it is told
of, which takes longer than many answers."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import typer
from typer.models import CommandInfo


def narrowed(app: typer.Typer, words: Sequence[str]) -> typer.Typer:
    """The same commands, or if the first word is one of them, or a group, that one alone."""
    commands = [each for each in app.registered_commands if words[:1] == [_name(each)]]
    groups = [each for each in app.registered_groups if words[:1] == [each.name]]
    if not commands and not groups:
        return app
    fewer = copy(app)
    fewer.registered_commands, fewer.registered_groups = commands, groups
    return fewer


def _name(command: CommandInfo) -> str:
    return command.name or (command.callback.__name__ if command.callback else "")
