"""`imgbake distribute`: takes finished images to their destinations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from imgbake.app import settling
from imgbake.app.building import only_build, stoppable
from imgbake.app.following import follow
from imgbake.app.opening import Request, open_project, require_args_to_build
from imgbake.app.rolling_back import Back, put_back
from imgbake.app.ways import Step, Way, look, ways
from imgbake.engine.engine import Engine, Report, Result
from imgbake.engine.graph import BROUGHT
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.engine.workers import Settings
from imgbake.events import Observer

_BYTES = ("sent", "there")  # facts of deliveries that are told by themselves


class Order(msgspec.Struct, frozen=True):
    """What to distribute, and how."""

    request: Request
    names: tuple[str, ...] = ()  # of distributions; all of them without
    jobs: int = 1
    force: bool = False
    verifies_all: bool = False
    key: str = ""  # under which a settled distribution is remembered
    place: str = ""  # where, if not in the project's state


class Arrival(msgspec.Struct, frozen=True):
    """What became of a way.

    `result`: "there" (nothing to do), "published", "delivered" (content without names), "put back" (the names
    were, because others could not move), "failed" or "skipped".
    """

    way: Way
    result: str
    sent: int = 0  # bytes
    seconds: float = 0.0
    reference: str = ""
    error: str = ""
    facts: dict[str, Any] = {}  # what the destination says of it


class Showing(NamedTuple):
    """How a distribution is shown."""

    observers: Sequence[Observer]
    warn: Callable[[str], None]
    plan: Callable[[Sequence[Step]], None]  # is handed the plan before anything is done
    there: Callable[[Sequence[Arrival]], tuple[Sequence[str], str]]  # lines and JSON, when nothing was done


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    report: Report
    arrivals: tuple[Arrival, ...]
    has_triggers: bool = False  # does the recipe say what is to be done when tags move?

    @property
    def exit_code(self) -> int:
        """0 all are there, 3 some, 1 none; 130 interrupted, 70 a bug."""
        if self.report.was_interrupted:
            return 130
        if self.report.has_bug:
            return 70
        return exit_code([each.result in ("there", "published") for each in self.arrivals], self.arrivals)


def exit_code(good: Sequence[bool], arrivals: Iterable[Arrival] = ()) -> int:
    """0 when all went well, 3 when some did or something was brought, else 1."""
    if all(good):
        return 0
    return 3 if any(good) or any(each.result in ("delivered", "put back") for each in arrivals) else 1


def plan(order: Order, warn: Callable[[str], None]) -> tuple[Step, ...]:
    """What would be done. Asks the destinations, changes nothing."""
    with stoppable() as stop:
        project = open_project(order.request, warn, is_read_only=True)
        project.verifies_all = order.verifies_all
        try:
            return look(project, ways(project, order.names), stop, force=order.force)
        finally:
            project.close()


def distribute(order: Order, showing: Showing) -> Outcome:
    """Takes images to their destinations. Raises BakeError when it could not even begin."""
    with only_build(order.request.file.parent, showing.warn) as marker, stoppable() as stop:
        project = open_project(order.request, showing.warn)
        try:
            return carry(project, ways(project, order.names), order, showing, stop, marker)
        finally:
            project.close()


def carry(
    project: Project,
    wanted: Sequence[Way],
    order: Order,
    showing: Showing,
    stop: Stop,
    marker: str = "",
) -> Outcome:
    """Takes some ways of an open project, after showing the plan."""
    goals = tuple(way.publish for way in wanted)
    project.stop = stop
    require_args_to_build(project, goals)
    project.verifies_all = order.verifies_all
    steps = look(project, wanted, stop, force=order.force)
    showing.plan(steps)
    force = BROUGHT if order.force else frozenset()
    how = Settings(order.jobs, keep_going=True, force=force, build=marker)
    observers = showing.observers
    report = Engine(project, how, [*observers, *project.plugins.observers()], stop).run(goals)
    backs = _settle(project, wanted, report, observers)
    arrivals = tuple(
        _arrival(step, report.results, _cause(way.delivery, project, report), backs.get(way.distribution, ()))
        for way, step in zip(wanted, steps, strict=True)
    )
    follow(project, report, _references(arrivals), showing.warn)
    settling.remember(project, order.key, report, lambda: showing.there(_still(arrivals)), order.place)
    return Outcome(report, arrivals, bool(project.recipe.triggers))


def _references(arrivals: Sequence[Arrival]) -> list[str]:
    """By which names, with digests, images can be got where all went well."""
    return [each.reference for each in arrivals if each.result in ("there", "published")]


def _still(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """The same with nothing to do."""
    return [msgspec.structs.replace(each, result="there", sent=0, seconds=0.0) for each in arrivals]


def _settle(
    project: Project, wanted: Sequence[Way], report: Report, observers: Sequence[Observer]
) -> dict[str, list[Back]]:
    """Ends the changes of this run: whole ones are complete, and atomic ones that aren't are taken back.

    Gives, by distribution, what was put back.
    """
    backs: dict[str, list[Back]] = {}
    for name in dict.fromkeys(way.distribution for way in wanted):
        own = [way for way in wanted if way.distribution == name]
        is_whole = all(report.results[way.publish].outcome in ("ran", "cached") for way in own)
        table = project.recipe.distributions.get(name)
        if is_whole or (table is not None and not table.atomic):
            project.pointers.complete(name)
            continue
        stop = Stop()  # the build's own may be set, and this is how it is to end
        try:
            moves = project.pointers.unfinished(name)
            backs[name] = put_back(project, moves, stop, observers)
        finally:
            stop.close()
    return backs


def _cause(name: str, project: Project, report: Report) -> str:
    """Why a node was not done: its own error, or that of what failed before it."""
    result = report.results[name]
    before = project.graph.nodes[name].before if result.outcome == "skipped" else ()
    stopped = (each for each in before if report.results[each].outcome in ("failed", "skipped"))
    return next((_cause(each, project, report) for each in stopped), result.error)


def _arrival(step: Step, results: dict[str, Result], cause: str, backs: Sequence[Back]) -> Arrival:
    way = step.way
    own, names = results[way.delivery], results[way.publish]
    result, error = own.outcome, cause or names.error
    reference, sent = "", 0
    facts: dict[str, Any] = {}
    if own.artifact is not None:
        result, reference = "delivered", own.artifact.reference
        facts = {key: value for key, value in own.artifact.facts.items() if key not in _BYTES}
        sent = int(own.artifact.facts.get("sent", 0)) if own.outcome == "ran" else 0
    if names.outcome in ("ran", "cached"):
        result = "there" if own.outcome == names.outcome == "cached" else "published"
        backs = [each for each in backs if each.move.destination == way.destination]
        if any(each.move.pointer in way.pointers for each in backs):
            result, error = (
                "put back",
                "; ".join(each.error for each in backs) or "other names could not move",
            )
    elif step.action == "there" and own.outcome == "cached":  # whatever held up the others
        result, error = "there", ""
    return Arrival(way, result, sent, own.seconds + names.seconds, reference, error, facts)
