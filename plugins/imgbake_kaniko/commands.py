"""Which command of a component Kaniko is running, by what it prints."""

from __future__ import annotations

import re

import msgspec

from imgbake.api import Blueprint, StepError
from imgbake_docker import building

_RUNNING = "Running: "
_SNAPSHOT = "Taking snapshot of "
_EXITED = re.compile(r"'kaniko' exited with code (\d+)")


class Commands:
    """The commands of an image, and the one that runs."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._titles = {
            _printed([*layer.setup.shell, command]): f"component '{layer.component}': `{title}`"
            for layer in blueprint.layers
            for command in (*layer.build, *layer.validate)
            for title in [building.first_line(command)]
        }
        self._title = ""

    def hear(self, line: str) -> str:
        """What a line of the log says: Kaniko's own are JSON, those of commands are as they are."""
        text = _message(line)
        if text is None:
            return line
        if text.startswith(_RUNNING):
            self._title = self._titles.get(text.removeprefix(_RUNNING), "")
        elif text.startswith(_SNAPSHOT):
            self._title = ""
        return text

    def explain(self, error: StepError) -> StepError:
        """The error, with the command that failed in the place of Kaniko."""
        exited = _EXITED.fullmatch(error.message)
        if exited is None or not self._title:
            return error
        return StepError(f"{self._title} exited with code {exited[1]}", hint=error.hint, tail=error.tail)


def _printed(argv: list[str]) -> str:
    """A command as Kaniko prints it."""
    return f"[{' '.join(argv)}]"


class _Line(msgspec.Struct):
    level: str
    msg: str


def _message(line: str) -> str | None:
    if not line.startswith("{"):
        return None
    try:
        return msgspec.json.decode(line, type=_Line).msg
    except msgspec.DecodeError:
        return None
