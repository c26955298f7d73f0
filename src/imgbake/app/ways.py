"""The ways of distributions: which there are, and what is to be done for each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from imgbake.app.planning import Planned, Planner
from imgbake.contract import Artifact
from imgbake.engine.context import Looking
from imgbake.engine.delivering import DeliverWork, PublishWork
from imgbake.engine.graph import BROUGHT, Node, Publication
from imgbake.engine.process import Stop
from imgbake.engine.project import Project, Standing
from imgbake.engine.steps import work_of
from imgbake.errors import BakeError, UsageError, did_you_mean

_AT_ONCE = 16  # destinations that are asked at the same time


class Way(msgspec.Struct, frozen=True):
    """One image on its way to one destination."""

    distribution: str
    image: str
    destination: str
    delivery: str  # the nodes
    publish: str
    pointers: tuple[str, ...]


class Step(msgspec.Struct, frozen=True):
    """What would be done for a way.

    `action`: "there", "publish" (only names move), "deliver" (content, then names), "build" (the image
    first) or "error".
    """

    way: Way
    action: str
    why: str = ""


def ways(project: Project, names: Sequence[str]) -> tuple[Way, ...]:
    """All ways of these distributions, or of all.

    Raises UsageError for an unknown name, or when there are none.
    """
    known = project.recipe.distributions
    for name in names:
        if name not in known:
            raise UsageError(f"no distribution named '{name}'", hint=did_you_mean(name, known))
    found = tuple(
        way(node) for node in project.graph.nodes.values()
        if isinstance(node.work, Publication) and (not names or node.work.distribution in names)
    )  # fmt: skip
    if not found:
        hint = "declare one: [distributions.NAME], with images and to" if not known else "see --to"
        raise UsageError("there is no distribution" + (" to these destinations" if known else ""), hint=hint)
    return found


def way(node: Node) -> Way:
    """The way that ends with this node."""
    work = node.work
    assert isinstance(work, Publication)
    image = work.delivery.removeprefix("deliver:").rpartition("->")[0]
    return Way(work.distribution, image, work.destination.name, work.delivery, node.id, work.pointers)


def look(project: Project, wanted: Sequence[Way], stop: Stop, *, force: bool) -> tuple[Step, ...]:
    """What would be done for these ways. All destinations are asked side by side; what they say is kept
    for the run that follows."""
    project.stop = stop
    for way in wanted:
        project.names[way.delivery] = (*project.names.get(way.delivery, ()), *way.pointers)
    nodes = project.graph.nodes
    planner = Planner(project, BROUGHT if force else frozenset())
    deliveries, publishes = ([way.delivery for way in wanted], [way.publish for way in wanted])
    found = {
        step.node: step for step in planner.plan([each for name in deliveries for each in nodes[name].before])
    }
    asked: dict[str, Standing | BakeError] = {}
    for names in (deliveries, publishes):
        there = {name: artifact for name, artifact in planner.artifacts.items() if _is_there(found.get(name))}
        asked |= _ask(project, names, there)
        project.standing = dict(asked)
        found |= {step.node: step for step in planner.plan(names)}
    project.standing = asked
    return tuple(_step(way, nodes[way.delivery], found) for way in wanted)


def _is_there(step: Planned | None) -> bool:
    """Is what a node made in place, so that others can look at it?"""
    return step is None or step.action != "restore"


def _ask(
    project: Project, names: Sequence[str], artifacts: dict[str, Artifact]
) -> dict[str, Standing | BakeError]:
    """What destinations say of these nodes, as far as what they stand on is known."""

    def ask(name: str) -> Standing | BakeError:
        node = project.graph.nodes[name]
        work = work_of(node, project, artifacts)
        assert isinstance(work, DeliverWork | PublishWork)
        try:
            return work.ask(Looking(project, node))
        except BakeError as error:
            return error

    known = [name for name in dict.fromkeys(names) if project.graph.nodes[name].needs[0] in artifacts]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(known, pool.map(ask, known), strict=True))


def _step(way: Way, delivery: Node, found: dict[str, Planned]) -> Step:
    own, names = found[way.delivery], found[way.publish]
    for step in (*(found[name] for name in delivery.before), own, names):
        if step.action in ("error", "needs arguments"):
            return Step(way, "error", "; ".join(step.why))
    if own.action == "may run":
        return Step(way, "build", "; ".join(own.why))
    if own.action != "cached":
        return Step(way, "deliver", "; ".join(own.why))
    return Step(way, "there" if names.action == "cached" else "publish", "; ".join(names.why))
