"""Runs a graph: one thread decides, workers run.

A node is judged when everything before it is done, so that equal outputs stop a wave of rebuilding.
States of a node:

    waiting --all before it are done--> judged --fresh--> done
                                          |
                                        queued --a worker and its resources are free--> running --> done
                                                                                          |
    waiting, when one before it failed or the build stops: skipped                      failed

Whatever happens in a worker (see `workers`) comes back to the deciding thread as a message, events
included, so observers, ledger and states need no locks.
"""

from __future__ import annotations

import heapq
import queue
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from imgbake.contract import Artifact
from imgbake.engine import ledger
from imgbake.engine.graph import Node
from imgbake.engine.judge import Verdict
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.engine.steps import Work, work_of
from imgbake.engine.unmoved import UNKNOWN, Unmoved
from imgbake.engine.workers import Failed, Judged, Message, Ran, Settings, Workers
from imgbake.errors import BakeError, Interrupted, PluginError, StepError
from imgbake.events import (
    INTERRUPTED,
    BuildFinished,
    BuildStarted,
    Event,
    NodeFailed,
    NodeFinished,
    NodeNote,
    NodeSkipped,
    NodeStarted,
    Observer,
    telling,
)
from imgbake.files.tree import Watch

_LULL = 0.1  # seconds
_OUTSIDE = frozenset({"deliver", "publish"})  # kinds of node that wait for the network, not for a processor
_OUTSIDE_JOBS = 64  # of these, at the same time: as many as a cloud has regions, and more


class Result(msgspec.Struct, frozen=True):
    """How it went with one node. `outcome`: ran, cached, restored, failed, skipped."""

    outcome: str
    seconds: float = 0.0
    artifact: Artifact | None = None
    why: tuple[str, ...] = ()
    error: str = ""


class Report(msgspec.Struct, frozen=True):
    """How it went. `is_settled`: nothing failed, and only a moved file could make anything run again."""

    results: dict[str, Result]
    seconds: float
    is_settled: bool
    looked: dict[str, Sequence[str]] = {}  # by each node, at these paths
    was_interrupted: bool = False
    has_bug: bool = False  # a failure was a plugin's or ours, not the user's

    def count(self, outcome: str) -> int:
        """How many nodes had this outcome."""
        return sum(result.outcome == outcome for result in self.results.values())


class Engine:
    """One build."""

    def __init__(
        self,
        project: Project,
        settings: Settings,
        observers: Sequence[Observer],
        stop: Stop,
        unmoved: Unmoved = UNKNOWN,
    ) -> None:
        """`unmoved` tells of nodes that need not be judged unless one before them is not as it was."""
        self._project = project
        project.stop = stop
        self._settings = settings
        self._tell = telling(observers)
        self._tells_cached = any(getattr(observer, "wants_cached", False) for observer in observers)
        self._stop = stop
        self._results: dict[str, Result] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._workers = Workers(project, settings, stop)
        self._free = dict(project.recipe.pools)
        self._queue: list[tuple[float, int, str]] = []  # nodes that wait for a worker: urgency, order, id
        self._verdicts: dict[str, Verdict | None] = {}  # of queued nodes; None is still to be judged
        self._work: dict[str, Work] = {}
        self._running: set[str] = set()
        self._looked: dict[str, Sequence[str]] = {}
        self._outside = {"queued": 0, "running": 0}  # nodes that don't count as jobs
        self._unmoved = unmoved
        self._is_settled = True
        self._has_failed = False
        self._has_bug = False

    def run(self, goals: Iterable[str]) -> Report:
        """Brings the goals up to date, and says how it went. Never raises for a node that fails."""
        started = time.time()
        nodes = self._project.graph.nodes
        self._plan(self._project.graph.closure(goals))
        self._tell(BuildStarted(started, len(self._waiting), self._settings.jobs))
        try:
            self._advance([name for name, count in self._waiting.items() if not count])
            while self._running:
                self._heed(self._next())
            for name in self._waiting:
                if name not in self._results:
                    self._skip(nodes[name], "the build stopped")
        finally:
            self._workers.dismiss()
        stopped, seconds = self._stop.is_set(), time.time() - started
        report = Report(self._results, seconds, self._is_settled, self._looked, stopped, self._has_bug)
        counts = {name: report.count(name) for name in ("ran", "cached", "restored", "failed", "skipped")}
        self._tell(BuildFinished(time.time(), seconds, interrupted=stopped, **counts))
        return report

    def _next(self) -> Message:
        """The next message. When none comes for a while, the store writes what it has gathered."""
        with suppress(queue.Empty):
            return self._workers.messages.get(timeout=_LULL)
        self._project.flush()
        return self._workers.messages.get()

    def _plan(self, names: Sequence[str]) -> None:
        """Counts what each node waits for, and how urgent it is: the known time from it to the end."""
        nodes, known = self._project.graph.nodes, self._project.ledger
        self._waiting = {name: len(set(nodes[name].before)) for name in names}
        self._dependents: dict[str, list[str]] = {name: [] for name in names}
        self._urgency = dict.fromkeys(names, 0.0)
        self._place = {name: index for index, name in enumerate(names)}
        for name in reversed(names):
            last = known.last(name)
            self._urgency[name] += last.seconds if last else 0.0
            for before in set(nodes[name].before):
                self._dependents[before].append(name)
                self._urgency[before] = max(self._urgency[before], self._urgency[name])

    def _advance(self, ready: list[str]) -> None:
        """Judges what is ready, and what becomes ready by that; then gives work to the workers."""
        while ready and not self._is_stopping():
            name = ready.pop()
            node = self._project.graph.nodes[name]
            if (verdict := self._as_it_was(node)) is not None:
                ready += self._act(node, verdict)
                continue
            self._work[name] = work = work_of(node, self._project, self._artifacts)
            if not work.is_local:
                self._enqueue(name, None)
                continue
            try:
                verdict = self._workers.judge(node, work)
            except BakeError as error:
                self._fail(node, error, 0.0)
            else:
                ready += self._act(node, verdict)
        self._dispatch()

    def _as_it_was(self, node: Node) -> Verdict | None:
        """The verdict of a node that is sure to be up to date, or None."""
        if node.id not in self._unmoved.nodes or not all(map(self._is_as_it_was, node.before)):
            return None
        last = self._project.ledger.last(node.id)
        assert last is not None
        paths = tuple(self._unmoved.looked(node.id))
        return Verdict(
            "cached", last.fingerprint, (), Watch(), artifact=last.artifact, is_recorded=True, proof=paths
        )

    def _is_as_it_was(self, name: str) -> bool:
        """Did a node that is done come to what it was in the build that `unmoved` tells of?"""
        result, trace = self._results[name], self._unmoved.traces.get(name)
        is_same = trace is not None and result.artifact is not None and result.artifact.digest == trace.digest
        return is_same and result.outcome == "cached"

    def _act(self, node: Node, verdict: Verdict) -> list[str]:
        """Acts on a verdict. Returns what is ready now."""
        if verdict.action == "cached":
            assert verdict.artifact is not None
            return self._finish(node, verdict, verdict.artifact, "cached")
        self._enqueue(node.id, verdict)
        return []

    def _enqueue(self, name: str, verdict: Verdict | None) -> None:
        self._verdicts[name] = verdict
        heapq.heappush(self._queue, (-self._urgency[name], self._place[name], name))
        self._outside["queued"] += self._project.graph.nodes[name].kind in _OUTSIDE

    def _dispatch(self) -> None:
        """Hands queued nodes to free workers, the most urgent first, as far as resources allow."""
        held_back = []
        while self._queue and self._has_any_room() and not self._is_stopping():
            entry = heapq.heappop(self._queue)
            node = self._project.graph.nodes[entry[2]]
            if self._has_room(node.kind in _OUTSIDE) and self._take(node):
                self._outside["queued"] -= node.kind in _OUTSIDE
                self._outside["running"] += node.kind in _OUTSIDE
                self._send(node, self._verdicts.pop(node.id))
            else:
                held_back.append(entry)
        for entry in held_back:
            heapq.heappush(self._queue, entry)

    def _has_any_room(self) -> bool:
        return self._has_room(False) or (self._outside["queued"] > 0 and self._has_room(True))

    def _has_room(self, is_outside: bool) -> bool:
        if is_outside:
            return self._outside["running"] < _OUTSIDE_JOBS
        return len(self._running) - self._outside["running"] < self._settings.jobs

    def _take(self, node: Node) -> bool:
        wanted = node.policy.resources
        if any(self._free.get(pool, 0) < amount for pool, amount in wanted.items()):
            return False
        for pool, amount in wanted.items():
            self._free[pool] -= amount
        return True

    def _give_back(self, node: Node) -> None:
        for pool, amount in node.policy.resources.items():
            self._free[pool] += amount

    def _send(self, node: Node, verdict: Verdict | None) -> None:
        self._running.add(node.id)
        self._workers.hire(len(self._running))
        work = self._work[node.id]
        if verdict is None:
            self._workers.judge_apart(node, work)
        else:
            if verdict.action == "run" and node.kind != "base":
                self._tell(NodeStarted(time.time(), node.id, verdict.why))
            self._workers.work_on(node, verdict, work)

    def _heed(self, message: Message) -> None:
        """Takes in what a worker says."""
        if isinstance(message, Event):
            self._tell(message)
            return
        node = self._project.graph.nodes[message.node]
        self._running.discard(node.id)
        self._outside["running"] -= node.kind in _OUTSIDE
        self._give_back(node)
        ready: list[str] = []
        match message:
            case Failed():
                self._fail(node, message.error, message.seconds)
            case Judged():
                ready = self._act(node, message.verdict)
            case Ran():
                ready = self._take_in(node, message)
        self._advance(ready)

    def _take_in(self, node: Node, message: Ran) -> list[str]:
        if message.verdict.action == "restore":
            return self._finish(
                node, message.verdict, message.artifact, "restored", message.seconds, message.looked
            )
        verdict, note = message.verdict, ""
        if message.moved:
            note = f"{message.moved} changed while it ran: it will run again"
            verdict = msgspec.structs.replace(verdict, is_volatile=True, is_recorded=True)
        elif message.doubt:
            note = f"{message.doubt} was written while it ran: it will run once more, to be sure"
            verdict = msgspec.structs.replace(verdict, is_volatile=True, doubt=message.doubt)
        if note:
            self._tell(NodeNote(time.time(), node.id, note))
        return self._finish(node, verdict, message.artifact, "ran", message.seconds, message.looked)

    def _finish(
        self,
        node: Node,
        verdict: Verdict,
        artifact: Artifact,
        outcome: str,
        seconds: float = 0.0,
        looked: Sequence[str] = (),
    ) -> list[str]:
        """A node is done: remembers it and returns what is ready now."""
        if node.kind == "base":
            outcome = "cached"
        self._is_settled &= not verdict.is_volatile
        self._looked[node.id] = (*verdict.seen, *verdict.proof, *looked)
        if not verdict.is_recorded:
            last = self._project.ledger.last(node.id)
            took = seconds if outcome == "ran" or last is None else last.seconds
            entry = ledger.record(
                node.id, verdict.fingerprint, verdict.parts, artifact,
                seconds=took, finished=time.time(), why=verdict.why, doubt=verdict.doubt,
            )  # fmt: skip
            try:
                self._project.ledger.add(entry)
            except OSError as error:
                self._is_settled = False
                self._tell(NodeNote(time.time(), node.id, f"could not be remembered: {error.strerror}"))
        self._artifacts[node.id] = artifact
        self._results[node.id] = Result(outcome, seconds, artifact, verdict.why)
        self._work.pop(node.id, None)
        if outcome != "cached" or self._tells_cached:
            facts = (artifact.digest, artifact.reference)
            self._tell(NodeFinished(time.time(), node.id, outcome, seconds, *facts))
        ready = []
        for name in self._dependents[node.id]:
            self._waiting[name] -= 1
            if not self._waiting[name] and name not in self._results:
                ready.append(name)
        return ready

    def _fail(self, node: Node, error: BakeError, seconds: float) -> None:
        self._is_settled = False
        if isinstance(error, Interrupted):
            self._skip(node, INTERRUPTED)
            return
        self._has_failed = True
        self._has_bug |= isinstance(error, PluginError)
        mask = self._project.secrets.mask
        message = mask(error.placed)
        tail = tuple(map(mask, error.tail)) if isinstance(error, StepError) else ()
        self._results[node.id] = Result("failed", seconds, error=message)
        self._tell(NodeFailed(time.time(), node.id, seconds, message, mask(error.hint), tail))
        self._skip_dependents(node)

    def _skip_dependents(self, node: Node) -> None:
        todo = [(name, node.id) for name in self._dependents[node.id]]
        while todo:
            name, because = todo.pop()
            if name not in self._results:
                self._skip(self._project.graph.nodes[name], f"{because} failed")
                todo += [(other, because) for other in self._dependents[name]]

    def _skip(self, node: Node, because: str) -> None:
        self._is_settled = False
        self._results[node.id] = Result("skipped", error=because)
        self._tell(NodeSkipped(time.time(), node.id, because))

    def _is_stopping(self) -> bool:
        return self._stop.is_set() or (self._has_failed and not self._settings.keep_going)
