"""`imgbake args`: what images and tasks can be given, and what they have."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from imgbake.engine.graph import Bake, Node, Test
from imgbake.engine.project import Project
from imgbake.model import Arg, Task


class Listed(msgspec.Struct, frozen=True):
    """An argument. A secret's value is left out, and only `is_given` tells that it has one."""

    name: str
    readers: tuple[str, ...]  # nodes
    default: str | None
    value: str | None
    origin: str  # of the value: "--arg", "environment", "saved", "default", or nothing
    is_given: bool
    is_secret: bool
    help: str
    choices: tuple[str, ...]
    env: str

    @property
    def is_needed(self) -> bool:
        """Must it be given, as nothing else gives it a value?"""
        return self.default is None


def listed(project: Project, names: Sequence[str]) -> list[Listed]:
    """The recipe's arguments that these nodes, or what they stand on, read; in the recipe's order."""
    readers: dict[str, list[str]] = {}
    for name in project.graph.closure(names):
        for arg in _read(project.graph.nodes[name]):
            readers.setdefault(arg, []).append(name)
    return [_listed(arg, readers[name]) for name, arg in project.recipe.args.items() if name in readers]


def _read(node: Node) -> tuple[str, ...]:
    match node.work:
        case Task():
            return node.work.args
        case Bake():
            return tuple(dict.fromkeys(node.work.image.args + node.work.target.args))
        case Test():
            return ()  # what it reads is the image's too
    return ()


def _listed(arg: Arg, readers: Sequence[str]) -> Listed:
    return Listed(
        arg.name, tuple(readers), arg.default, arg.value, arg.origin, bool(arg.origin), arg.secret,
        arg.help, arg.choices, arg.env,
    )  # fmt: skip
