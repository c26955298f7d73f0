"""`imgbake args`: what images and tasks can be given, and what they have."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from imgbake.contract import Argument
from imgbake.engine.graph import Bake, Delivery, Node, Publication, Test
from imgbake.engine.project import Project
from imgbake.model import Arg, Task


class Listed(msgspec.Struct, frozen=True):
    """An argument. A secret's value is left out, and only `is_given` tells that it has one.

    `place` says what it is an argument of: empty for the recipe's, else of an image that another tool's file
    describes, and of which part of it, such as a stage. `origin` says what gave the value: "--arg",
    "environment", "saved", "default", "recipe", "given" (by --arg, or saved), or nothing.
    """

    name: str
    readers: tuple[str, ...]  # nodes
    default: str | None
    value: str | None
    origin: str
    is_needed: bool  # it must be given, as it has no default
    is_secret: bool = False
    help: str = ""
    choices: tuple[str, ...] = ()
    env: str = ""
    place: str = ""
    at: str = ""  # file and line of an argument that the recipe doesn't declare

    @property
    def is_given(self) -> bool:
        """Has it a value?"""
        return bool(self.origin)


def listed(project: Project, names: Sequence[str]) -> list[Listed]:
    """The arguments that these nodes, or what they stand on, read.

    The recipe's come first, in its order, then those of described images. Raises BakeError for an image
    whose file is wrong.
    """
    readers: dict[str, list[str]] = {}
    described: dict[str, list[str]] = {}
    for name in project.graph.closure(names):
        node = project.graph.nodes[name]
        for arg in _read(node):
            readers.setdefault(arg, []).append(name)
        if isinstance(node.work, Bake) and node.work.image.description is not None:
            described.setdefault(node.work.image.name, []).append(name)
    found = [_listed(arg, readers[name]) for name, arg in project.recipe.args.items() if name in readers]
    for image, nodes in described.items():
        arguments = project.descriptions.arguments(project.recipe.images[image])
        found += [_of_image(one, image, nodes, project) for one in arguments]
    return found


def _read(node: Node) -> tuple[str, ...]:
    match node.work:
        case Task():
            return node.work.args
        case Bake():
            return tuple(dict.fromkeys(node.work.image.args + node.work.target.args))
        case Test():
            return ()  # what it reads is the image's too
        case Delivery():
            return node.work.destination.args
        case Publication():
            return node.work.args
    return ()


def _listed(arg: Arg, readers: Sequence[str]) -> Listed:
    return Listed(
        arg.name, tuple(readers), arg.default, arg.value, arg.origin, arg.default is None,
        arg.secret, arg.help, arg.choices, arg.env,
    )  # fmt: skip


def _of_image(one: Argument, image: str, nodes: Sequence[str], project: Project) -> Listed:
    declared = project.recipe.args.get(one.name)
    if one.value is None:
        origin = ""
    elif one.name in project.recipe.said:
        origin = "given"
    else:
        origin = "default" if one.value == one.default else "recipe"
    place = f"{image}, {one.place}" if one.place else image
    return Listed(
        one.name, tuple(nodes), one.default, one.value, origin, one.is_needed,
        declared is not None and declared.secret, one.help, place=place, at=one.at,
    )  # fmt: skip
