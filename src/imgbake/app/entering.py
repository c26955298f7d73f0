"""`imgbake shell`: a look at an image from inside, finished or as the commands of a component find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from imgbake.app import building, opening
from imgbake.app.building import Order
from imgbake.app.opening import Request
from imgbake.app.planning import Planner
from imgbake.contract import Enterable
from imgbake.engine.context import Working
from imgbake.engine.graph import Bake, Node
from imgbake.engine.project import Project
from imgbake.engine.steps import BakeWork, target_of
from imgbake.errors import BakeError, Interrupted, UsageError, did_you_mean
from imgbake.events import Observer, telling


class Entrance(msgspec.Struct, frozen=True):
    """An image that can be entered, all that it needs being built."""

    request: Request
    node: str
    at: str  # a component, or nothing for the finished image


def build(order: Order, at: str, observers: Sequence[Observer], warn: Callable[[str], None]) -> Entrance:
    """Builds the image that `order` names; with `at`, a component, only what it is made from.

    Raises BakeError when that fails.
    """
    project = opening.open_project(order.request, warn)
    try:
        node = _image(project, order.names[0])
        _require_component(node, at)
    finally:
        project.close()
    needed = tuple(node.before) if at else (node.id,)
    report = building.build(msgspec.structs.replace(order, names=needed), observers, warn).report
    if report.was_interrupted:
        raise Interrupted
    if report.count("failed"):
        hint = "" if at else "look at what the commands of a component find: --at COMPONENT"
        raise BakeError(f"{node.id} could not be built", hint=hint)
    return Entrance(order.request, node.id, at)


def enter(
    entrance: Entrance, commands: tuple[str, ...], observer: Observer, warn: Callable[[str], None]
) -> int:
    """Runs commands, or else a shell, in a throw-away copy of the image, and returns the exit code.

    Holds no lock: others may build while somebody looks around. Raises BakeError.
    """
    project = opening.open_project(entrance.request, warn)
    try:
        node = project.graph.nodes[entrance.node]
        planner = Planner(project)
        planner.plan(node.before if entrance.at else [node.id])
        work = node.work
        assert isinstance(work, Bake)
        plan, _ = BakeWork(node, work, project, planner.artifacts).draw()
        target = cast(Enterable, target_of(work, project))  # checked before it was built
        with building.stoppable() as stop:
            ctx = Working(project, node, stop, telling([observer]), "")
            try:
                return target.shell(planner.artifacts.get(node.id), plan, entrance.at, commands, ctx)
            finally:
                ctx.close()
    finally:
        project.close()


def _image(project: Project, name: str) -> Node:
    node = project.graph.nodes[opening.node(project, name, "image")]
    if not isinstance(node.work, Bake):
        raise UsageError(f"{node.id} is not an image", hint="write NAME@TARGET; see `imgbake list`")
    if not hasattr(target_of(node.work, project), "shell"):
        hint = "an image of the target 'oci' can be"
        raise UsageError(f"{node.id} can't be looked at from inside", hint=hint)
    return node


def _require_component(node: Node, at: str) -> None:
    assert isinstance(node.work, Bake)
    names = [component.name for component in node.work.image.components]
    if at and at not in names:
        hint = did_you_mean(at, names) or f"it has {', '.join(names) or 'none'}"
        raise UsageError(f"{node.id} has no component '{at}'", hint=hint)
