"""The contexts that steps get: their only way to touch the world.

`Looking` is for making a fingerprint: it reads, and notes all that it read. `Working` is for running:
what it starts belongs to the build and ends with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from imgbake import digest
from imgbake.contract import Artifact, Blobs, Completed, Part, Runner, Starter, Tree
from imgbake.engine import fingerprint, process, spawn
from imgbake.engine.graph import Node, folder_of
from imgbake.engine.project import Project
from imgbake.errors import Interrupted, StepError, TimedOut
from imgbake.events import Event, NodeOutput, NodeProgress
from imgbake.streams import PREFIX as STREAM

T = TypeVar("T")

_WORK = "work"  # the folder of the folders of nodes, in the project's state
_TAIL = 20  # lines of a failed command that are shown
_PROGRESS_EVERY = 0.1  # seconds


def remove_work(state: Path, build: str) -> None:
    """Removes the folders in which a build that died did its work."""
    for folder in (state / _WORK).glob("*"):
        if folder.name.startswith(_prefix(build)):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(build: str) -> str:
    return f"{build[:8]}-"


class Looking:
    """A PartsContext."""

    def __init__(self, project: Project, node: Node) -> None:
        self._project = project
        self._node = node
        self.noted: list[Part] = []  # parts for what was read through `env` and `tool`
        self.is_volatile = False

    @property
    def name(self) -> str:
        return _name(self._node)

    @property
    def project(self) -> str:
        return self._project.recipe.name

    @property
    def root(self) -> Path:
        return self._project.root

    @property
    def folder(self) -> str:
        return folder_of(self.name)

    @property
    def blobs(self) -> Blobs:
        return self._project.store

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        return self._project.files.tree(patterns, exclude)

    def env(self, name: str) -> str | None:
        value = self._project.env(name)
        content = "" if value is None else digest.of_bytes(os.fsencode(value))
        self.noted.append(Part(f"env {name}", content))
        return value

    def tool(self, name: str) -> str:
        program = str(self.root / name) if "/" in name else name
        said = self._project.env("PATH") or os.defpath
        folders = [str(Path(folder).absolute()) for folder in said.split(os.pathsep)]
        path = shutil.which(program, path=os.pathsep.join(folders)) or ""
        for folder in folders:
            place = os.path.join(folder, program)
            if place == path:
                break
            self._project.watch(place)  # one that comes to be there is found first
        # By the name that was found, which may be a link that leads elsewhere later.
        content = self._project.files.digest(path) if path else "not found"
        self.noted.append(Part(f"tool {name}", content))
        return path

    def pinned(self, table: str, key: str) -> str | None:
        return self._project.pinned(self._node, table, key)

    def meant(self, reference: str) -> str:
        if not reference.startswith(STREAM):
            return reference
        from imgbake.engine import remembered  # most recipes have no streams

        found = remembered.find(reference, self._project)
        if not found.proof:
            self.volatile()
        return found.reference

    def pinned_to(self, value: str | None) -> Looking:
        """The same, for one who is to find everything pinned to this value, or nothing pinned at all."""
        return _Pinned(self._project, self._node, value)

    def volatile(self) -> None:
        self.is_volatile = True

    def check(self) -> None:
        self._project.check()

    def shared(self, cls: Callable[[], T]) -> T:
        return self._project.shared(cls)

    def reveal(self, text: str) -> str:
        return self._project.secrets.reveal(text)


class _Pinned(Looking):
    def __init__(self, project: Project, node: Node, value: str | None) -> None:
        super().__init__(project, node)
        self._value = value

    def pinned(self, table: str, key: str) -> str | None:
        return self._value


class Working:
    """A RunContext. Used by one worker thread."""

    def __init__(
        self,
        project: Project,
        node: Node,
        stop: process.Stop,
        emit: Callable[[Event], None],
        build: str,
        *,
        force: bool = False,
        keep: bool = False,
    ) -> None:
        self._project = project
        self._node = node
        self._stop = stop
        self._emit = emit
        self._build = build
        self._force = force
        self._keep = keep
        timeout = node.policy.timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._work: Path | None = None
        self._log: IO[str] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._progress_at = 0.0

    @property
    def name(self) -> str:
        return _name(self._node)

    @property
    def project(self) -> str:
        return self._project.recipe.name

    @property
    def root(self) -> Path:
        return self._project.root

    @property
    def folder(self) -> str:
        return folder_of(self.name)

    @property
    def blobs(self) -> Blobs:
        return self._project.store

    @property
    def force(self) -> bool:
        return self._force

    @property
    def keep(self) -> bool:
        return self._keep

    @property
    def work(self) -> Path:
        if self._work is None:
            parent = self._project.state / _WORK
            parent.mkdir(parents=True, exist_ok=True)
            self._work = Path(tempfile.mkdtemp(prefix=_prefix(self._build), dir=parent))
        return self._work

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        return self._project.files.tree(patterns, exclude)

    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        capture: bool = False,
        check: bool = True,
        shell: Sequence[str] = ("/bin/sh", "-c"),
        timeout: float | None = None,
        title: str = "",
        start: Starter | None = None,
        grace: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        self.check()
        argv = [*shell, command] if isinstance(command, str) else list(command)
        text = self._project.secrets.mask(command if isinstance(command, str) else shlex.join(command))
        shown = title or f"`{_first_line(text)}`"
        reveal = self._project.secrets.reveal
        try:
            ended = process.run(
                [reveal(word) for word in argv],
                env=self._environment(env or {}),
                cwd=cwd or self.root,
                on_line=on_line or self.log,
                stop=self._stop,
                deadline=self._until(timeout),
                capture=capture,
                start=start or spawn.start,
                grace=process.GRACE if grace is None else grace,
            )
        except OSError as error:
            hint = f"is {argv[0]} installed, and on PATH?" if isinstance(error, FileNotFoundError) else ""
            raise StepError(f"can't run {shown}: {error.strerror}", hint=hint) from None
        self._heed(ended, shown, timeout)
        if check and ended.code:
            how = (
                f"exited with code {ended.code}" if ended.code > 0 else f"was killed by signal {-ended.code}"
            )
            raise StepError(f"{shown} {how}", tail=tuple(self._tail))
        return Completed(ended.code, ended.stdout.decode("utf-8", "replace"))

    def log(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            masked = self._project.secrets.mask(line)
            if self._log is None:
                self._log = _open_log(self._project.log_file(self._node.id))
            self._log.write(masked + "\n")
            self._tail.append(masked)
            self._emit(NodeOutput(time.time(), self._node.id, masked))

    def progress(self, done: int, total: int, unit: str = "bytes") -> None:
        now = time.monotonic()
        if now - self._progress_at >= _PROGRESS_EVERY or done == total:
            self._progress_at = now
            self._emit(NodeProgress(time.time(), self._node.id, done, total, unit))

    def check(self) -> None:
        if self._stop.is_set():
            raise Interrupted
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise self._timeout()

    def reveal(self, text: str) -> str:
        return self._project.secrets.reveal(text)

    def pinned(self, table: str, key: str) -> str | None:
        return self._project.pinned(self._node, table, key)

    def meant(self, reference: str) -> str:
        if not reference.startswith(STREAM):
            return reference
        from imgbake.engine import remembered

        return remembered.find(reference, self._project).reference

    def runner(self, kind: str) -> Runner:
        return self._project.runner(kind)

    def shared(self, cls: Callable[[], T]) -> T:
        return self._project.shared(cls)

    def memo(self, parts: Sequence[Part], make: Callable[[], Artifact], *, anew: bool = False) -> Artifact:
        key = fingerprint.of(parts)
        with self._project.turns.alone(key, self.check):
            known = self._project.store.record(key) if not anew or key in self._project.made else None
            if known is not None and self._project.holds(known.blobs):
                return known
            artifact = make()
            self._project.made.add(key)
            self._project.store.remember(key, artifact)
            self._project.store.flush()  # other processes wait for it too
            return artifact

    def close(self) -> None:
        """Removes the work folder and closes the log."""
        if self._log is not None:
            self._log.close()
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)

    def _environment(self, extra: Mapping[str, str]) -> dict[bytes, bytes]:
        added = {process.MARKER: self._build}
        added |= {name: self._project.secrets.reveal(value) for name, value in extra.items()}
        raw = {os.fsencode(name): os.fsencode(value) for name, value in added.items()}
        return self._project.raw_environ | raw

    def _until(self, timeout: float | None) -> float | None:
        """The moment at which a command must end: after its own time, or the node's."""
        own = None if timeout is None else time.monotonic() + timeout
        return min((moment for moment in (own, self._deadline) if moment is not None), default=None)

    def _heed(self, ended: process.Ended, shown: str, timeout: float | None) -> None:
        if ended.by == "stop":
            raise Interrupted
        if ended.by == "timeout":
            is_own = self._deadline is None or time.monotonic() < self._deadline
            raise self._timeout(timeout if is_own else None, f", in {shown}")

    def _timeout(self, seconds: float | None = None, during: str = "") -> TimedOut:
        allowed = self._node.policy.timeout if seconds is None else seconds
        message = f"timed out after {allowed:g} s{during}"
        return TimedOut(message, hint="`timeout` says how long it may take", tail=tuple(self._tail))


def _name(node: Node) -> str:
    return node.id.partition(":")[2]


def _first_line(command: str) -> str:
    lines = command.strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} …"


def _open_log(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8", errors="replace", buffering=1)
