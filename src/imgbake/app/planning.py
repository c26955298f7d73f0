"""`imgbake plan`, `list`, `explain` and `lower`: what a build would do and why. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from imgbake.app.opening import require_args
from imgbake.contract import Artifact, Lowered
from imgbake.engine import bugs, fingerprint, judge
from imgbake.engine.fingerprint import Change
from imgbake.engine.graph import BROUGHT, Bake, Node
from imgbake.engine.judge import NEVER_BUILT, Verdict
from imgbake.engine.project import Project
from imgbake.engine.steps import BakeWork, BaseWork, work_of
from imgbake.errors import BakeError, UsageError

_LOWERED = "lowered "


class Planned(msgspec.Struct, frozen=True):
    """What a build would do with a node.

    `action`: "cached", "restore", "run", "may run" (one before it runs; its outcome decides),
    "needs arguments" (and would or may run), or "error" (its inputs can't be read).
    """

    node: str
    action: str
    why: tuple[str, ...] = ()
    verdict: Verdict | None = None
    makes: tuple[str, ...] = ()  # what is made elsewhere to bake with

    @property
    def state(self) -> str:
        """The same in the words of `imgbake list`."""
        if self.action == "run" and self.why == (NEVER_BUILT,):
            return NEVER_BUILT
        return {"cached": "fresh", "needs arguments": "needs arguments", "error": "error"}.get(
            self.action, "stale"
        )


class Planner:
    """Judges nodes without running any. Secrets may be missing where nothing runs: their values decide
    nothing."""

    def __init__(self, project: Project, force: frozenset[str] = frozenset()) -> None:
        self._project = project
        self._force = force
        self._found: dict[str, Planned] = {}
        self.artifacts: dict[str, Artifact] = {}

    @property
    def lacking(self) -> tuple[str, ...]:
        """The planned nodes that would or may run, and need arguments that nobody gave."""
        return tuple(name for name, step in self._found.items() if step.action == "needs arguments")

    def plan(self, goals: Sequence[str]) -> tuple[Planned, ...]:
        """What a build of these goals would do, in the order in which it could."""
        names = self._project.graph.closure(goals)
        for name in names:
            if name not in self._found:
                self._found[name] = self._planned(self._project.graph.nodes[name], self._found)
        return tuple(self._found[name] for name in names)

    def _planned(self, node: Node, before: dict[str, Planned]) -> Planned:
        spared = frozenset() if node.kind in BROUGHT else self._project.secrets.missing
        if not spared.issuperset(node.missing):  # destinations are asked with their secrets
            return _needing(node)
        found = self._judged(node, before)
        if node.missing and found.action not in ("cached", "restore"):
            return _needing(node, found.verdict)
        return found

    def _judged(self, node: Node, before: dict[str, Planned]) -> Planned:
        deciding = node.needs if node.kind == "publish" else node.before  # it only waits for the others
        unknown = [name for name in deciding if name not in self.artifacts]
        if unknown:
            moved = next((name for name in unknown if before[name].action == "run"), unknown[0])
            how = "runs" if before[moved].action in ("run", "may run") else "is needed"
            return Planned(node.id, "may run", (f"{moved} {how} first",))
        for name in node.before:
            if before[name].action == "restore" and _reads(node, name):  # what isn't there yet
                return Planned(node.id, "may run", (f"{name} is restored first",))
        work = work_of(node, self._project, self.artifacts)
        try:
            verdict = judge.judge(node, work, self._project, force=node.kind in self._force)
            if isinstance(work, BakeWork) and verdict.action == "run":
                work.require()
        except (BakeError, OSError) as error:
            message = error.placed if isinstance(error, BakeError) else str(error)
            return Planned(node.id, "error", (self._project.secrets.mask(message),))
        except Exception as error:
            raise bugs.told(node.id, error, self._project) from error
        if isinstance(work, BaseWork):
            self.artifacts[node.id] = work.resolved
            why = () if verdict.why == (NEVER_BUILT,) else verdict.why
            return Planned(node.id, "cached", why, verdict)
        if verdict.artifact is not None:
            self.artifacts[node.id] = verdict.artifact
        why = () if verdict.action == "cached" else verdict.why
        makes = work.draw()[1].makes if isinstance(work, BakeWork) and verdict.action == "run" else ()
        return Planned(node.id, verdict.action, why, verdict, makes)


def _reads(node: Node, name: str) -> bool:
    """May a node read what another leaves, where that leaves it?"""
    if isinstance(node.work, Bake):  # which is handed the files of `task:NAME` by content
        copies = (copy for component in node.work.image.components for copy in component.files)
        return name.startswith("task:") and all(copy.source != name for copy in copies)
    return node.kind in ("base", "task", "deliver")


def _needing(node: Node, verdict: Verdict | None = None) -> Planned:
    return Planned(node.id, "needs arguments", ("needs: " + ", ".join(node.missing),), verdict)


class Explained(msgspec.Struct, frozen=True):
    """Why a node would run, or when and why it last did."""

    node: str
    state: str
    why: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    upstream: tuple[Planned, ...] = ()  # nodes before it that would run first
    last_run: float | None = None  # seconds since 1970
    last_why: tuple[str, ...] = ()
    seconds: float = 0.0


def explain(project: Project, name: str) -> Explained:
    """What differs now from a node's last run."""
    steps = Planner(project).plan([name])
    own = next(step for step in steps if step.node == name)
    upstream = tuple(step for step in steps if step.node != name and step.action not in ("cached", "restore"))
    last = project.ledger.last(name)
    changes: tuple[Change, ...] = ()
    if last is not None and own.verdict is not None and own.action != "cached":
        changes = fingerprint.changes(last.parts, own.verdict.parts)
    if last is None:
        return Explained(name, own.state, own.why, upstream=upstream)
    return Explained(name, own.state, own.why, changes, upstream, last.finished, last.why, last.seconds)


def lower(project: Project, name: str) -> Lowered:
    """The native documents of an image. Raises BakeError while a task that it copies has not run, or an
    argument is missing; secrets are in them by name."""
    if not name.startswith("image:"):
        raise UsageError(f"{name} is not an image", hint="write NAME@TARGET; see `imgbake list`")
    planner = Planner(project)
    node = project.graph.nodes[name]
    if not project.secrets.missing.issuperset(node.missing):
        require_args(project, project.graph.closure([name]))
    for step in planner.plan(node.before):
        if step.node not in planner.artifacts:
            require_args(project, [step.node])
            why = ": ".join([step.action, *step.why])
            hint = f"build it first: `imgbake build {name.partition(':')[2]}`"
            raise BakeError(f"{name} is made from {step.node}, which is not there yet ({why})", hint=hint)
    work = work_of(node, project, planner.artifacts)
    assert isinstance(work, BakeWork)
    try:
        return work.draw()[1]
    except (BakeError, OSError):
        raise
    except Exception as error:
        raise bugs.told(name, error, project) from error


def as_json(steps: Sequence[Planned]) -> list[dict[str, Any]]:
    """A plan as the document that `--format json` prints."""
    return [
        {
            "node": step.node,
            "action": step.action,
            "state": step.state,
            "why": list(step.why),
            **({"documents": documents} if (documents := _documents(step)) else {}),
            **({"makes": list(step.makes)} if step.makes else {}),
        }
        for step in steps
    ]


def _documents(step: Planned) -> dict[str, str]:
    """What the target of an image would be told."""
    parts = step.verdict.parts if step.verdict is not None else ()
    lowered = (part for part in parts if part.label.startswith(_LOWERED))
    return {part.label.removeprefix(_LOWERED): part.value for part in lowered}


def explained_as_json(found: Explained) -> dict[str, Any]:
    """An explanation as the document that `--format json` prints."""
    document = msgspec.to_builtins(found)
    document["changes"] = [{**msgspec.to_builtins(change), "text": str(change)} for change in found.changes]
    document["upstream"] = as_json(found.upstream)
    return dict(document)


def how_long_ago(moment: float) -> float:
    """Seconds since a moment."""
    return max(0.0, time.time() - moment)
