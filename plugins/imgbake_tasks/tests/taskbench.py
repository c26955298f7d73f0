"""A bench for one step: both contexts, with real processes and real folders, and no engine."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from imgbake import digest
from imgbake.contract import (
    Artifact,
    Blobs,
    Completed,
    Entry,
    Part,
    PartsContext,
    RunContext,
    Runner,
    Starter,
    Step,
    Tree,
)
from imgbake.engine import process, spawn
from imgbake.engine.secrets import Secrets
from imgbake.errors import BakeError, Interrupted, StepError
from imgbake.files import glob

T = TypeVar("T")


class Looked(msgspec.Struct, frozen=True):
    """What a step said for its fingerprint, and what it looked at."""

    parts: dict[str, str]
    volatile: bool
    env: tuple[str, ...]
    tools: tuple[str, ...]


class Bench:
    """A project with one step in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.secrets: dict[str, str] = {}
        self.lock: dict[tuple[str, str], str] = {}
        self.lines: list[str] = []  # the log
        self.stop_at: Callable[[], bool] = lambda: False
        self.deadline = time.monotonic() + 60
        self.progress: list[tuple[int, int]] = []

    def look(self, step: Step, name: str = "t") -> Looked:
        """Asks for the parts."""
        ctx = _Looking(self, name)
        parts = {part.label: part.value for part in step.parts(ctx)}
        return Looked(parts, ctx.is_volatile, tuple(ctx.env_read), tuple(ctx.tools_read))

    def looking(self, name: str = "t") -> PartsContext:
        """The context for parts alone."""
        return _Looking(self, name)

    def run(self, step: Step, name: str = "t") -> Artifact:
        """Runs the step."""
        ctx = _Working(self, name)
        try:
            return step.run(ctx)
        finally:
            shutil.rmtree(ctx.work)

    def running(self, name: str = "t") -> RunContext:
        """The context for running alone."""
        return _Working(self, name)

    def made(self, step: Step, name: str = "t") -> bytes:
        """The content of the step's only output."""
        (path,) = step.outputs(f".imgbake/tasks/{name}")
        return (self.root / path).read_bytes()

    def files(self, below: str = ".") -> dict[str, str]:
        """Every file below a folder, by path: its text."""
        start = self.root / below
        return {
            str(path.relative_to(start)): path.read_text(errors="replace")
            for path in sorted(start.rglob("*"))
            if path.is_file()
        }

    def everything(self, *more: object) -> str:
        """All that is written anywhere in the project, was logged, or is handed in, as one text."""
        texts = [text for item in self.files().items() for text in item]
        return "\n".join([*texts, *self.lines, *map(str, more)])


class _Context:
    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self._name = name
        self._secrets = Secrets(bench.secrets)

    @property
    def name(self) -> str:
        return self._name

    @property
    def root(self) -> Path:
        return self._bench.root

    @property
    def folder(self) -> str:
        return f".imgbake/tasks/{self._name}"

    @property
    def blobs(self) -> Blobs:
        raise AssertionError("no task here uses the store")

    def files(self, patterns: Sequence[str], exclude: Sequence[str] = ()) -> Tree:
        matcher = glob.Matcher(patterns)
        paths = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())
        found = [path for path in paths if matcher.file(path)]
        return Tree(
            tuple(Entry(path, "file", 0o644, digest.of_file(self.root / path), source=path) for path in found)
        )

    def pinned(self, table: str, key: str) -> str | None:
        return self._bench.lock.get((table, key))

    def meant(self, reference: str) -> str:
        return reference

    def reveal(self, text: str) -> str:
        return self._secrets.reveal(text)


class _Looking(_Context):
    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(bench, name)
        self.is_volatile = False
        self.env_read: list[str] = []
        self.tools_read: list[str] = []

    def env(self, name: str) -> str | None:
        self.env_read.append(name)
        return os.environ.get(name)

    def tool(self, name: str) -> str:
        self.tools_read.append(name)
        return shutil.which(name) or ""

    def volatile(self) -> None:
        self.is_volatile = True


class _Working(_Context):
    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(bench, name)
        (bench.root / ".imgbake" / "work").mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(dir=bench.root / ".imgbake" / "work"))
        self._stop = process.Stop()

    @property
    def project(self) -> str:
        return self._bench.root.name

    @property
    def work(self) -> Path:
        return self._work

    @property
    def force(self) -> bool:
        return False

    @property
    def keep(self) -> bool:
        return False

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
        ended = process.run(
            [self.reveal(word) for word in argv],
            env=os.environb
            | {name.encode(): self.reveal(value).encode() for name, value in (env or {}).items()},
            cwd=cwd or self.root,
            on_line=on_line or self.log,
            stop=self._stop,
            deadline=min(self._bench.deadline, time.monotonic() + (timeout or math.inf)),
            capture=capture,
            start=start or spawn.start,
        )
        if check and ended.code:
            raise StepError(f"exited with code {ended.code}", tail=self._bench.lines[-20:])
        return Completed(ended.code, ended.stdout.decode(errors="replace"))

    def log(self, text: str) -> None:
        self._bench.lines.extend(self._secrets.mask(text).splitlines())

    def progress(self, done: int, total: int, unit: str = "bytes") -> None:
        self._bench.progress.append((done, total))

    def check(self) -> None:
        if self._bench.stop_at():
            raise Interrupted
        if time.monotonic() > self._bench.deadline:
            raise StepError("timed out")

    def runner(self, kind: str) -> Runner:
        raise BakeError(f"no runner '{kind}' on a bench")

    def shared(self, cls: Callable[[], T]) -> T:
        return cls()

    def memo(self, parts: Sequence[Part], make: Callable[[], Artifact], *, anew: bool = False) -> Artifact:
        return make()


def needs(program: str) -> pytest.MarkDecorator:
    """A mark for tests that can't be run without a program; where everything must be there, they fail."""
    absent = shutil.which(program) is None and os.environ.get("IMGBAKE_REQUIRE_SERVICES") != "1"
    return pytest.mark.skipif(absent, reason=f"{program} is not installed")


def options(type_: type[msgspec.Struct], **values: Any) -> Any:
    """Options as the recipe's loader makes them. Raises msgspec.ValidationError."""
    return msgspec.convert(values, type_)
