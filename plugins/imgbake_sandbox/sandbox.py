"""The runner: commands of components in a sandbox on the extracted layers of an image."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, cast

from imgbake.api import (
    BakeError,
    Commands,
    LayerFormat,
    NewLayer,
    RunContext,
    StackLayer,
    StepError,
    TimedOut,
)
from imgbake_sandbox import emulation, places, refusals, serving
from imgbake_sandbox.capture import NEVER_CAPTURED
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.commands import commands_of, first_line, require_short, secrets_of, variables
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.places import Place
from imgbake_sandbox.report import Report
from imgbake_sandbox.rootfs import Rootfs
from imgbake_sandbox.spec import Bind, Command, Limits, Spec
from imgbake_sandbox.tars import Compression, Format

_SIGNALED = 128  # and the signal's number, as shells have it
_LAST_SIGNAL = 64
_SHELLS = ("/bin/bash", "/bin/sh")
_LOOK_AGAIN = 0.2  # seconds


class Freed(NamedTuple):
    """How many folders were removed, and how many bytes they held."""

    number: int
    size: int


class Sandbox:
    """Runs commands in namespaces of the kernel; needs no daemon, and root where there is nothing else."""

    kind: ClassVar[str] = "sandbox"
    version: ClassVar[int] = 1

    def __init__(self, shelf: Path) -> None:
        self._shelf = shelf

    def refusal(self, architecture: str = "") -> tuple[str, str] | None:
        """Why there can be no sandbox here, and what to do about it. Tried once in a process.

        With the architecture of another machine: why its programs can't run in one.
        """
        self._shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = refusals.check(self._shelf)
        if found is not None:
            return found.message, found.hint
        return emulation.refusal(architecture) if architecture else None

    def change(
        self,
        below: Sequence[StackLayer],
        files: StackLayer | None,
        commands: Commands,
        format: LayerFormat,
        to: Path,
        ctx: RunContext,
    ) -> NewLayer:
        """Runs commands in an overlay on the layers, and makes its upper folder a layer."""
        chores = Chores(self._identity, ctx)
        rootfs = Rootfs(self._shelf, chores)
        left_out = (*NEVER_CAPTURED, *(cache.path.strip("/") for cache in commands.setup.caches))
        with self._on(below, chores, ctx) as (lowers, place):
            if files is not None:
                chores.extract(ctx.blobs.path(files.digest), place.upper)
            self._run(commands, lowers, place, ctx)
            packing = Format(cast(Compression, format.compression), format.level)
            captured = chores.capture(place.upper, lowers, to, packing, format.epoch, left_out)
            for path in captured.devices:
                ctx.log(f"left out of the layer, as devices can't be made everywhere: /{path}")
            rootfs.adopt(captured.packed.digest, place.upper, captured.extracted)
        return NewLayer(captured.packed.digest, captured.packed.diff_id, captured.packed.size)

    def check(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> None:
        """Runs commands in an overlay on the layers, which is thrown away."""
        with self._on(stack, Chores(self._identity, ctx), ctx) as (lowers, place):
            self._run(commands, lowers, place, ctx)

    def shell(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> int:
        """Runs commands on our own streams, or a shell on the terminal. What they change is thrown away."""
        with self._on(stack, Chores(self._identity, ctx), ctx) as (lowers, place):
            wanted = commands_of(commands) if commands.commands else (Command((_shell(lowers),)),)
            with self._caches(commands, ctx) as binds:
                is_terminal = os.isatty(0) and os.isatty(1)
                spec = self._spec(commands, wanted, lowers, place, binds, tty=is_terminal)
                added = {name: ctx.reveal(value) for name, value in variables(commands).items()}
                argv = spec.command(place.folder / "spec")
                code = _attended(argv, {**os.environ, **added}, ctx)
            report = Report.read(place.folder / "report")
            if report.failed:
                hint = refusals.advice(report.failed, self._identity)
                raise BakeError(report.failed.message, hint=hint)
            return code

    def usage(self) -> int:
        """How many bytes extracted layers and caches take."""
        layers = sum(layer.size for layer in Rootfs(self._shelf, Chores(self._identity)).layers())
        return layers + sum(_size(folder) for folder, _ in places.caches(self._shelf))

    def gc(self, limit: int, unused_since: float) -> Freed:
        """Removes what nobody used, then layers, which are made again from the store, then caches."""
        chores = Chores(self._identity)
        rootfs = Rootfs(self._shelf, chores)
        caches = [(used, folder, _size(folder)) for folder, used in places.caches(self._shelf)]
        held = sum(size for _, _, size in caches)
        number, freed = rootfs.make_room(max(0, limit - held), unused_since)
        over = held + sum(layer.size for layer in rootfs.layers()) - limit
        for used, folder, size in sorted(caches):
            if (over > 0 or used < unused_since) and places.remove_cache(folder, chores):
                number, freed, over = number + 1, freed + size, over - size
        return Freed(number, freed)

    @cached_property
    def _identity(self) -> Identity:
        self._shelf.mkdir(mode=0o700, parents=True, exist_ok=True)
        return refusals.identity(self._shelf)

    @contextlib.contextmanager
    def _on(
        self, stack: Sequence[StackLayer], chores: Chores, ctx: RunContext
    ) -> Iterator[tuple[tuple[Path, ...], Place]]:
        """The folders of layers, and a place to change things in."""
        layers = [layer.digest for layer in stack]
        held = Rootfs(self._shelf, chores).held(layers, ctx.blobs.path)
        with held as lowers, places.place(self._shelf, chores) as place:
            yield lowers, place

    def _run(self, commands: Commands, lowers: tuple[Path, ...], place: Place, ctx: RunContext) -> None:
        """Runs the commands one after the other. Raises StepError for the first that fails."""
        setup = commands.setup
        require_short(commands, ctx)
        with self._caches(commands, ctx) as binds:
            spec = self._spec(commands, commands_of(commands, "$ "), lowers, place, binds)
            path = spec.write(place.folder / "spec")
            start = serving.server(self._identity).start
            try:
                ctx.run(
                    [path], env=variables(commands), timeout=setup.timeout, title="its sandbox", start=start
                )
            except TimedOut:
                raise
            except StepError as error:
                raise self._explained(error, commands, Report.read(place.folder / "report")) from None

    def _spec(
        self,
        commands: Commands,
        wanted: tuple[Command, ...],
        lowers: tuple[Path, ...],
        place: Place,
        binds: Sequence[Bind],
        *,
        tty: bool = False,
    ) -> Spec:
        setup = commands.setup
        return Spec(
            identity=self._identity,
            lowers=lowers,
            upper=place.upper,
            work=place.work,
            commands=wanted,
            env=commands.env | ({"TERM": os.environ.get("TERM", "xterm")} if tty else {}),
            cwd=commands.workdir or "/",
            user=commands.user,
            network="none" if setup.network == "none" else "host",
            binds=tuple(binds),
            secrets=secrets_of(commands),
            limits=Limits(setup.memory, setup.cpus, setup.processes),
            tty=tty,
            report=place.folder / "report",
        )

    @contextlib.contextmanager
    def _caches(self, commands: Commands, ctx: RunContext) -> Iterator[list[Bind]]:
        """The caches, locked; in one order everywhere, so that no two wait for each other."""
        wanted = {cache.path: cache for cache in commands.setup.caches}
        with contextlib.ExitStack() as held:
            yield [
                Bind(
                    held.enter_context(places.cache(self._shelf, wanted[path], _telling(path, ctx))),
                    path,
                    writable=True,
                )
                for path in sorted(wanted)
            ]

    def _explained(self, error: StepError, commands: Commands, report: Report) -> StepError:
        if report.failed:
            hint = refusals.advice(report.failed, self._identity)
            return StepError(report.failed.message, hint=hint, tail=error.tail)
        if not report.ended or not report.ended[-1].code:
            hint = error.hint or "did somebody end it, or was there too little memory?"
            return StepError(error.message, hint=hint, tail=error.tail)
        code, command = report.ended[-1].code, first_line(commands.commands[len(report.ended) - 1])
        is_signal = _SIGNALED < code <= _SIGNALED + _LAST_SIGNAL
        how = f"was killed by signal {code - _SIGNALED}" if is_signal else f"exited with code {code}"
        hint = refusals.advice_on(error.tail, self._identity)
        return StepError(f"`{command}` {how}", hint=hint, tail=error.tail)


def _telling(cache: str, ctx: RunContext) -> Callable[[], None]:
    """A check for who waits for a cache. Says so once."""
    lines = iter((f"waiting for the cache {cache}, which another component uses",))

    def check() -> None:
        for line in lines:
            ctx.log(line)
        ctx.check()

    return check


def _attended(argv: Sequence[str], env: Mapping[str, str], ctx: RunContext) -> int:
    """Runs a program on our streams until it has ended or the step must. Returns its exit code."""
    with subprocess.Popen(argv, env=env) as process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_AGAIN)
            try:
                ctx.check()
            except BaseException:
                process.terminate()
                raise


def _shell(lowers: Sequence[Path]) -> str:
    """The best shell of an image. Raises BakeError."""
    for path in _SHELLS:  # follows no symlinks: /bin may be one
        if any(os.path.lexists(layer / name) for layer in lowers for name in (path[1:], f"usr{path}")):
            return path
    raise BakeError("the image has no shell", hint=f"there is neither {' nor '.join(_SHELLS)} in it")


def _size(folder: Path) -> int:
    """How many bytes the files of a folder take; what can't be looked at counts as nothing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_blocks * 512
    return total
