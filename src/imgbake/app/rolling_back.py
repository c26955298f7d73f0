"""`imgbake distribute --rollback`: lets names mean again what they meant before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from imgbake.app.building import only_build, stoppable
from imgbake.app.opening import Request, open_project
from imgbake.app.ways import ways
from imgbake.engine.context import Working
from imgbake.engine.delivering import means_now, take_back
from imgbake.engine.graph import Node, Publication
from imgbake.engine.pointers import Move
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.errors import BakeError
from imgbake.events import Observer, telling


class Back(msgspec.Struct, frozen=True):
    """A name that was put back, or could not be."""

    move: Move
    error: str = ""


def plan(request: Request, names: Sequence[str], warn: Callable[[str], None]) -> tuple[Back, ...]:
    """What would be put back. Asks the destinations, changes nothing. Raises BakeError as `rollback` does."""
    with stoppable() as stop:
        project = open_project(request, warn, is_read_only=True)
        try:
            moves = _last(project, names, request.to)
            return tuple(_each(project, moves, stop, lambda move, node: means_now(move, node, project)))
        finally:
            project.close()


def rollback(
    request: Request, names: Sequence[str], warn: Callable[[str], None], observers: Sequence[Observer]
) -> tuple[Back, ...]:
    """Lets names mean what they meant before the last change of each distribution.

    Raises BakeError when there is no change to take back.
    """
    with only_build(request.file.parent, warn), stoppable() as stop:
        project = open_project(request, warn)
        try:
            return tuple(put_back(project, _last(project, names, request.to), stop, observers))
        finally:
            project.close()


def put_back(
    project: Project, moves: Sequence[Move], stop: Stop, observers: Sequence[Observer]
) -> list[Back]:
    """Takes back these moves, in this order, as far as it can be done."""

    def take(move: Move, node: Node) -> None:
        ctx = Working(project, node, stop, telling(observers), "")
        try:
            take_back(move, node, project, ctx)
        finally:
            ctx.close()

    return _each(project, moves, stop, take)


def _last(project: Project, names: Sequence[str], to: Sequence[str]) -> list[Move]:
    """The moves of the last change of each distribution, at these destinations or at all."""
    found = [
        move
        for name in dict.fromkeys(way.distribution for way in ways(project, names))
        for move in project.pointers.last(name)
        if move.destination in (to or project.recipe.destinations)
    ]
    if not found:
        hint = "only what `imgbake distribute` has moved from here can be put back"
        raise BakeError("there is nothing to put back", hint=hint)
    return found


def _each(
    project: Project, moves: Sequence[Move], stop: Stop, act: Callable[[Move, Node], object]
) -> list[Back]:
    project.stop = stop
    found = []
    for move in moves:
        node = _node_of(move, project)
        if node is None:
            error = f"with the arguments given now, the recipe has no such name at '{move.destination}'"
            found.append(Back(move, error))
            continue
        try:
            act(move, node)
            found.append(Back(move))
        except BakeError as error:
            found.append(Back(move, project.secrets.mask(error.placed)))
    return found


def _node_of(move: Move, project: Project) -> Node | None:
    for node in project.graph.nodes.values():
        work = node.work
        if not isinstance(work, Publication) or move.pointer not in work.pointers:
            continue
        if (work.distribution, work.destination.name) == (move.distribution, move.destination):
            return node
    return None
