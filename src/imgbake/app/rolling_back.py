"""`imgbake distribute --rollback`: lets names mean again what they meant before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from imgbake.app.building import only_build, stoppable
from imgbake.app.opening import Request, open_project
from imgbake.app.ways import ways
from imgbake.engine.context import Working
from imgbake.engine.delivering import take_back
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


def rollback(
    request: Request, names: Sequence[str], warn: Callable[[str], None], observers: Sequence[Observer]
) -> tuple[Back, ...]:
    """Lets names mean what they meant before the last change of each distribution.

    Raises BakeError when there is no change to take back.
    """
    with only_build(request.file.parent, warn), stoppable() as stop:
        project = open_project(request, warn)
        project.stop = stop
        try:
            found: list[Back] = []
            for name in dict.fromkeys(way.distribution for way in ways(project, names)):
                moves = project.pointers.last(name)
                to = request.to or tuple(project.recipe.destinations)
                found += put_back(
                    project, [move for move in moves if move.destination in to], stop, observers
                )
            if not found:
                hint = "only what `imgbake distribute` has moved from here can be put back"
                raise BakeError("there is nothing to put back", hint=hint)
            return tuple(found)
        finally:
            project.close()


def put_back(
    project: Project, moves: Sequence[Move], stop: Stop, observers: Sequence[Observer]
) -> list[Back]:
    """Takes back these moves, in this order, as far as it can be done."""
    project.stop = stop
    found = []
    for move in moves:
        node = _node_of(move, project)
        if node is None:
            error = f"the recipe has no destination '{move.destination}' with this name any more"
            found.append(Back(move, error))
            continue
        ctx = Working(project, node, stop, telling(observers), "")
        try:
            take_back(move, node, project, ctx)
            found.append(Back(move))
        except BakeError as error:
            found.append(Back(move, project.secrets.mask(error.placed)))
        finally:
            ctx.close()
    return found


def _node_of(move: Move, project: Project) -> Node | None:
    for node in project.graph.nodes.values():
        work = node.work
        if not isinstance(work, Publication) or move.pointer not in work.pointers:
            continue
        if (work.distribution, work.destination.name) == (move.distribution, move.destination):
            return node
    return None
