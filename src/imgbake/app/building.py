"""`imgbake build` and `imgbake run`: brings nodes up to date, one build of a project at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from imgbake.app import settling
from imgbake.app.opening import Request, goals, open_project, require_args_to_build, save_args
from imgbake.contract import Artifact
from imgbake.engine import context, process, unmoved
from imgbake.engine.engine import Engine, Report
from imgbake.engine.graph import MADE
from imgbake.engine.project import STATE, Project
from imgbake.engine.unmoved import UNKNOWN, Past, Unmoved
from imgbake.engine.workers import Settings
from imgbake.errors import BakeError
from imgbake.events import Observer


class Order(msgspec.Struct, frozen=True):
    """What to build, and how."""

    request: Request
    kind: str  # "image" or "task"
    names: tuple[str, ...] = ()
    jobs: int = 1
    keep_going: bool = False
    force: bool = False
    keep: bool = False  # what is only made to bake with
    push: bool = False
    save: bool = False  # the arguments, for the next builds
    key: str = ""  # under which a settled build is remembered


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    report: Report
    lines: tuple[str, ...]  # the images, for people
    pushed: tuple[str, ...] = ()
    has_triggers: bool = False  # does the recipe say what is to be done when tags move?


def build(order: Order, observers: Sequence[Observer], warn: Callable[[str], None]) -> Outcome:
    """Brings what was ordered up to date. Raises BakeError when it could not even begin, and
    MissingArguments also when only what was built tells that some are missing."""
    root = order.request.file.parent
    with only_build(root, warn) as marker, stoppable() as stop:
        past = None if order.force else Past(root, order.key, os.environ)
        project = open_project(order.request, warn)
        try:
            names = goals(project, order.names, order.kind)
            project.stop = stop
            force = MADE if order.force else frozenset()
            require_args_to_build(project, names, force)
            if order.save:
                save_args(project, order.request.args, warn)
            how = Settings(order.jobs, order.keep_going, force, order.keep, marker)
            same = UNKNOWN if past is None else _unmoved(project, past, names)
            report = Engine(project, how, [*observers, *project.plugins.observers()], stop, same).run(names)
            _require_new_args(order, names, report, warn)
            pushed = _push(project, names, report, stop, marker, observers) if order.push else ()
            if any(image.streams for image in project.recipe.images.values()):
                from imgbake.app.following import follow  # few recipes have streams

                follow(project, report, pushed, warn)
            outcome = Outcome(report, tuple(_lines(names, report)), pushed, bool(project.recipe.triggers))
            _remember(project, order, outcome)
            return outcome
        finally:
            project.close()


def _unmoved(project: Project, past: Past, names: Sequence[str]) -> Unmoved:
    """What is known of nodes that see what they saw in the last such build; they count as having looked."""
    found = past.unmoved(project.ledger, project.graph.closure(names))
    if found.nodes:
        project.files.seen |= found.seen()
        project.questions |= found.questions()
        for variable in found.since.env:
            project.env(variable)
    return found


def _require_new_args(
    order: Order, names: Sequence[str], report: Report, warn: Callable[[str], None]
) -> None:
    """Raises MissingArguments where all that failed are images whose file was made by this build, and names
    arguments that nobody gave."""
    failed = [name for name, result in report.results.items() if result.outcome == "failed"]
    if not any(name.startswith("image:") for name in failed):
        return
    try:
        project = open_project(order.request, warn, is_read_only=True)
    except BakeError:
        return  # the recipe was edited meanwhile
    with contextlib.closing(project):
        nodes = project.graph.nodes
        if all(name in nodes and nodes[name].missing for name in failed):
            require_args_to_build(project, names)


def with_args(order: Order, given: Mapping[str, str]) -> Order:
    """The same order with more arguments. It is not remembered: nobody could ask for it again."""
    request = msgspec.structs.replace(order.request, args={**order.request.args, **given})
    return msgspec.structs.replace(order, request=request, key="")


def as_json(report: Report, pushed: Sequence[str] = ()) -> dict[str, object]:
    """The report as the document that `--format json` prints."""
    nodes = []
    for name, result in report.results.items():
        entry: dict[str, object] = {
            "node": name,
            "outcome": result.outcome,
            "seconds": round(result.seconds, 3),
        }
        if result.artifact is not None:
            made = result.artifact
            entry["artifact"] = {
                "kind": made.kind, "digest": made.digest, "reference": made.reference, "facts": made.facts
            }  # fmt: skip
        if result.why:
            entry["why"] = list(result.why)
        if result.error:
            entry["error"] = result.error
        nodes.append(entry)
    counts = {name: report.count(name) for name in ("ran", "cached", "restored", "failed", "skipped")}
    return {
        "seconds": round(report.seconds, 3),
        "interrupted": report.was_interrupted,
        "counts": counts,
        "nodes": nodes,
        "pushed": list(pushed),
    }


def _lines(names: Sequence[str], report: Report) -> Iterator[str]:
    for name in names:
        result = report.results.get(name)
        if name.startswith("image:") and result is not None and result.artifact is not None:
            made = result.artifact
            yield f"{name.partition(':')[2]}  {made.digest}  {made.reference}".rstrip()


def _remember(project: Project, order: Order, outcome: Outcome) -> None:
    report, key = outcome.report, "" if order.push else order.key
    sight = settling.remember(project, key, report, lambda: (outcome.lines, _nothing_done(report)))
    if sight:
        places = {path: place for place, path in enumerate(project.files.seen)}
        unmoved.keep(project.root, key, project.ledger, sight, places, report.looked, project.questions)


def _nothing_done(report: Report) -> str:
    """The document of the same build with nothing to do."""
    fresh = Report(
        {name: msgspec.structs.replace(result, outcome="cached", seconds=0.0, why=())
         for name, result in report.results.items()},
        0.0,
        is_settled=True,
    )  # fmt: skip
    return msgspec.json.encode(as_json(fresh)).decode()


def _push(
    project: Project,
    names: Sequence[str],
    report: Report,
    stop: process.Stop,
    marker: str,
    observers: Sequence[Observer],
) -> tuple[str, ...]:
    from imgbake.app.shipping import push

    if report.count("failed") or report.count("skipped"):
        return ()
    made: dict[str, Artifact] = {}
    for name in names:
        artifact = report.results[name].artifact
        if name.startswith("image:") and artifact is not None:
            made[name] = artifact
    return push(project, made, stop, marker, observers)


@contextlib.contextmanager
def only_build(root: Path, warn: Callable[[str], None]) -> Iterator[str]:
    """Holds the project's lock, and clears away what an interrupted build left. Gives our marker."""
    state = root / STATE
    try:
        state.mkdir(exist_ok=True)
        file = (state / "lock").open("a+")
    except FileExistsError:
        hint = "imgbake keeps its records in a folder of this name: rename what is there, or remove it"
        raise BakeError(f"can't write to {state}: it is not a folder", hint=hint) from None
    except OSError as error:
        hint = "imgbake keeps its records there: make the project's folder writable"
        raise BakeError(f"can't write to {state}: {error.strerror}", hint=hint) from None
    with file:
        _lock(file.fileno(), state, warn)
        file.seek(0)
        left = file.read().strip()
        if left:
            if ended := process.end_orphans(left):
                what = "a process" if ended == 1 else f"{ended} processes"
                warn(f"ended {what} that an interrupted build left running")
            context.remove_work(state, left)
        marker = os.urandom(16).hex()
        file.truncate(0)
        file.write(marker)
        file.flush()
        try:
            yield marker
        finally:
            file.truncate(0)


def _lock(fd: int, state: Path, warn: Callable[[str], None]) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        warn(f"waiting for another imgbake that builds in {state.parent}")
        fcntl.flock(fd, fcntl.LOCK_EX)


_stops: list[process.Stop] = []  # that a signal sets: who watches may be building meanwhile


@contextlib.contextmanager
def stoppable() -> Iterator[process.Stop]:
    """A stop signal that Ctrl-C and SIGTERM set, as they set those of whoever called us."""
    stop = process.Stop()
    _stops.append(stop)

    def ask(number: int, frame: FrameType | None) -> None:
        for each in _stops:
            each.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # nohup(1)
    before = {number: signal.signal(number, ask) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _stops.remove(stop)
        stop.close()


def processors() -> int:
    """How many processors we may use: the default of -j."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
