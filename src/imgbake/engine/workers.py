"""The workers of a build: threads that judge and run nodes, and tell of it by messages.

What a plugin raises is turned into a message here, whatever it is: a user's mistake, a full disk, a bug.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable

import msgspec

from imgbake.contract import Artifact
from imgbake.engine import bugs, judge
from imgbake.engine.context import Working
from imgbake.engine.graph import Node
from imgbake.engine.judge import Verdict
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.engine.steps import Work
from imgbake.errors import BakeError, Interrupted, StepError
from imgbake.events import Event, NodeNote

_RETRY_PAUSE = 1.0  # seconds before the first retry; doubles
_LONGEST_PAUSE = 30.0


class Settings(msgspec.Struct, frozen=True):
    """How to run."""

    jobs: int
    keep_going: bool = False
    force: frozenset[str] = frozenset()  # kinds of nodes that are made again although nothing changed
    keep: bool = False  # what is only made to bake with
    build: str = ""  # marks our processes, see process.MARKER


class Judged(msgspec.Struct, frozen=True):
    """A node was judged."""

    node: str
    verdict: Verdict


class Ran(msgspec.Struct, frozen=True):
    """A node was run, or what it made was put back."""

    node: str
    verdict: Verdict
    artifact: Artifact
    seconds: float
    moved: str = ""  # the first input that changed meanwhile
    doubt: str = ""  # the first that was written meanwhile, and is what it was
    looked: tuple[str, ...] = ()  # paths that were looked at


class Failed(msgspec.Struct, frozen=True):
    """A node could not be judged or run."""

    node: str
    error: BakeError
    seconds: float


Message = Judged | Ran | Failed | Event


class Workers:
    """Threads that do what they are told, in order, and answer in `messages`."""

    def __init__(self, project: Project, settings: Settings, stop: Stop) -> None:
        """None works before it is hired."""
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._project = project
        self._settings = settings
        self._stop = stop
        self._errands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def hire(self, count: int) -> None:
        """Sees to it that there are so many."""
        while len(self._threads) < count:
            thread = threading.Thread(target=self._serve, daemon=True)
            thread.start()
            self._threads.append(thread)

    def dismiss(self) -> None:
        """Waits until all have done what they were told, and ends them."""
        for _ in self._threads:
            self._errands.put(None)
        for thread in self._threads:
            thread.join()

    def judge(self, node: Node, work: Work) -> Verdict:
        """Judges a node in the calling thread. Raises BakeError, also for what is a plugin's bug."""
        try:
            return judge.judge(node, work, self._project, force=node.kind in self._settings.force)
        except (BakeError, Interrupted):
            raise
        except OSError as error:
            raise _refused(error) from error
        except Exception as error:
            raise bugs.told(node.id, error, self._project) from error

    def judge_apart(self, node: Node, work: Work) -> None:
        """Has a worker judge a node, which waits for something outside."""
        self._errands.put(lambda: self._judge_apart(node, work))

    def work_on(self, node: Node, verdict: Verdict, work: Work) -> None:
        """Has a worker run a node, or put back what it made, as its verdict says."""
        self._errands.put(lambda: self._work_on(node, verdict, work))

    # What follows happens in workers.

    def _serve(self) -> None:
        while (errand := self._errands.get()) is not None:
            errand()

    def _judge_apart(self, node: Node, work: Work) -> None:
        started = time.monotonic()
        try:
            self.messages.put(Judged(node.id, self.judge(node, work)))
        except BakeError as error:
            self.messages.put(Failed(node.id, error, time.monotonic() - started))

    def _work_on(self, node: Node, verdict: Verdict, work: Work) -> None:
        started = time.monotonic()
        try:
            with self._project.files.watching() as looked:
                if verdict.action == "restore":
                    assert verdict.artifact is not None
                    artifact, moved, doubt = self._restore(node, verdict.artifact, work), "", ""
                else:
                    artifact, moved, doubt = self._make(node, verdict, work)
            seconds = time.monotonic() - started
            self.messages.put(Ran(node.id, verdict, artifact, seconds, moved, doubt, tuple(looked)))
        except BakeError as error:
            self.messages.put(Failed(node.id, error, time.monotonic() - started))
        except OSError as error:
            self.messages.put(Failed(node.id, _refused(error), time.monotonic() - started))
        except Exception as error:  # noqa: BLE001  # a plugin may raise anything; the user gets a message
            bug = bugs.told(node.id, error, self._project)
            self.messages.put(Failed(node.id, bug, time.monotonic() - started))

    def _restore(self, node: Node, artifact: Artifact, work: Work) -> Artifact:
        """Puts back what was made; what was lost since it was judged means a run after all."""
        ctx = self._context(node)
        try:
            is_there = work.restore(artifact, ctx)
        finally:
            ctx.close()
        return artifact if is_there else self._run(node, work)

    def _make(self, node: Node, verdict: Verdict, work: Work) -> tuple[Artifact, str, str]:
        """Runs the step, and remembers what it made unless an input moved, or may have: gives that input."""
        artifact = self._run(node, work)
        moved = self._project.files.moved(verdict.seen) or ""
        doubt = "" if moved else self._doubt(node, verdict, artifact)
        if not moved and not doubt and node.kind != "base":
            self._project.store.remember(verdict.fingerprint, artifact)
        return artifact, moved, doubt

    def _doubt(self, node: Node, verdict: Verdict, artifact: Artifact) -> str:
        """What a task may have read as something else, unless it made the same twice. Targets look again."""
        if node.kind != "task":
            return ""
        last = self._project.ledger.last(node.id)
        if last is not None and (last.fingerprint, last.digest) == (verdict.fingerprint, artifact.digest):
            return ""
        return self._project.files.rewritten(verdict.seen) or ""

    def _run(self, node: Node, work: Work) -> Artifact:
        """Runs the step, again after a failure as often as the recipe allows."""
        pause = _RETRY_PAUSE
        for attempt in range(node.policy.retries + 1):
            self._project.log_file(node.id).unlink(missing_ok=True)  # it may print nothing this time
            ctx = self._context(node)
            try:
                return work.run(ctx)
            except StepError as error:
                if attempt == node.policy.retries:
                    raise
                note = f"attempt {attempt + 1} failed ({error.message}); again in {pause:g} s"
                self.messages.put(NodeNote(time.time(), node.id, self._project.secrets.mask(note)))
                if self._stop.wait(pause):
                    raise Interrupted from None
                pause = min(2 * pause, _LONGEST_PAUSE)
            finally:
                ctx.close()
        raise AssertionError("unreachable")

    def _context(self, node: Node) -> Working:
        return Working(
            self._project, node, self._stop, self.messages.put, self._settings.build,
            force=node.kind in self._settings.force, keep=self._settings.keep,
        )  # fmt: skip


def _refused(error: OSError) -> BakeError:
    where = f" ({error.filename})" if error.filename else ""
    hint = "free some space and run again: what was built is kept" if error.errno == 28 else ""
    return BakeError(f"{os.strerror(error.errno) if error.errno else error}{where}", hint=hint)
