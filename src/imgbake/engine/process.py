"""Runs commands so that they can always be ended: own process group, stdin closed, one place that waits.

Every running command polls its output, its end and the build's stop signal at once, so Ctrl-C and
timeouts need no extra thread. A command that outlives us (kill -9 of imgbake) is found again by the
marker in its environment: see `end_orphans`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from imgbake.contract import Starter
from imgbake.engine import spawn
from imgbake.engine.spawn import Child

MARKER = "IMGBAKE_BUILD"
GRACE = 5.0  # seconds between the polite signal and the one that can't be refused
_CHUNK = 1 << 16
_FULL_PIPE = 1 << 20  # bytes that fit into a pipe, see pipe(7)
_LONGEST_LINE = 1 << 16


class Stop:
    """A signal to stop, seen by every command that runs. Never cleared."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._is_set = False
        self.is_urgent = False  # asked twice: no more grace

    def set(self) -> None:
        """Asks everything to stop; the second time at once. May be called from a signal handler."""
        if self._is_set:
            self.is_urgent = True
            return
        self._is_set = True
        os.write(self._writer, b"x")

    def wait(self, seconds: float) -> bool:
        """Sleeps until it is set or the time has passed. Is it set?"""
        select.select([self._reader], [], [], seconds)
        return self._is_set

    def is_set(self) -> bool:
        """Was it asked?"""
        return self._is_set

    def fileno(self) -> int:
        """A descriptor that becomes readable when it is set."""
        return self._reader

    def close(self) -> None:
        """Frees the descriptors; nothing may run any more."""
        os.close(self._reader)
        os.close(self._writer)


class Ended(msgspec.Struct, frozen=True):
    """How a command ended: its exit code (negative for a signal), and who ended it."""

    code: int
    stdout: bytes
    by: str = ""  # "" itself, "stop", "timeout"


class _Lines:
    """Turns pieces of output into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._on_line(line.decode("utf-8", "replace").rstrip("\r"))
        if len(self._rest) > _LONGEST_LINE:
            self.flush()

    def flush(self) -> None:
        if self._rest:
            self._on_line(self._rest.decode("utf-8", "replace"))
            self._rest = b""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[bytes, bytes],
    cwd: Path,
    on_line: Callable[[str], None],
    stop: Stop,
    deadline: float | None = None,
    capture: bool = False,
    start: Starter = spawn.start,
    grace: float = GRACE,
) -> Ended:
    """Runs a command to its end, the stop signal, or the deadline (of time.monotonic).

    What must end has `grace` seconds to do so by itself.

    Lines of stderr, and of stdout unless captured, go to `on_line`. Raises OSError when the command
    cannot be started.
    """
    out, lines = bytearray(), _Lines(on_line)
    with contextlib.ExitStack() as open_pipes:
        reader, stdout = _pipe(open_pipes)
        reader_of_errors, stderr = _pipe(open_pipes) if capture else (reader, stdout)
        try:
            child = Child(start(argv, env, cwd, stdout=stdout, stderr=stderr))
        finally:
            for fd in {stdout, stderr}:
                os.close(fd)
        sinks: dict[int, Callable[[bytes], object]] = {reader_of_errors: lines.feed}
        if capture:
            sinks[reader] = out.extend
        try:
            by = _attend(child, sinks, stop, deadline, grace)
        except BaseException:
            child.signal(signal.SIGKILL)
            child.wait()
            raise
        finally:
            lines.flush()
    return Ended(child.wait(), bytes(out), by)


def _pipe(open_pipes: contextlib.ExitStack) -> tuple[int, int]:
    """A new pipe: the end to read from, closed with the stack, and the end to write to."""
    reader, writer = os.pipe()
    open_pipes.callback(os.close, reader)
    return reader, writer


def _attend(
    child: Child,
    sinks: Mapping[int, Callable[[bytes], object]],
    stop: Stop,
    deadline: float | None,
    grace: float,
) -> str:
    """Moves output to the sinks until the command has ended; ends it when it must."""
    poller, open_sinks, by = select.poll(), dict(sinks), ""
    for fd in open_sinks:
        poller.register(fd, select.POLLIN)
    poller.register(stop.fileno(), select.POLLIN)
    end = _end_descriptor(child)
    if end is not None:
        poller.register(end, select.POLLIN)
    try:
        while True:
            for fd, _ in poller.poll(_patience(deadline, watched=end is not None)):
                if fd == stop.fileno():
                    poller.unregister(fd)
                    by = by or "stop"
                elif fd in open_sinks and not _move(fd, open_sinks[fd]):
                    poller.unregister(fd)
                    del open_sinks[fd]
            if child.has_ended():
                _drain(open_sinks)
                return by
            if deadline is not None and not by and time.monotonic() >= deadline:
                by = "timeout"
            if by:
                _end(child, open_sinks, stop, grace)
                return by
            if not open_sinks and end is None:
                time.sleep(0.01)
    finally:
        if end is not None:
            os.close(end)


def _end_descriptor(child: Child) -> int | None:
    """A descriptor that becomes readable when the process ends, where the system has such a thing."""
    try:
        return os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        return None


def _patience(deadline: float | None, *, watched: bool) -> float | None:
    if not watched:
        return 50
    return None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)


def _move(fd: int, sink: Callable[[bytes], object], most: int = _CHUNK) -> bool:
    data = os.read(fd, most)
    if data:
        sink(data)
    return bool(data)


def _drain(sinks: Mapping[int, Callable[[bytes], object]]) -> None:
    """Takes what is already in the pipes. A child left in the background may hold them open, and go on."""
    for fd, sink in sinks.items():
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            _move(fd, sink, _FULL_PIPE)


def _end(child: Child, sinks: Mapping[int, Callable[[bytes], object]], stop: Stop, grace: float) -> None:
    """Ends the process and its group: politely, then after the grace period for good."""
    child.signal(signal.SIGTERM)
    last = time.monotonic() + grace
    while not child.has_ended() and time.monotonic() < last and not stop.is_urgent:
        _drain(sinks)
        time.sleep(0.02)
    child.signal(signal.SIGKILL)
    child.wait()
    _drain(sinks)


def end_orphans(build: str) -> int:
    """Ends what a build that died left running, by its marker in the environment. Linux only.

    Returns how many processes were ended.
    """
    found = [pid for pid in _processes() if pid != os.getpid() and _carries(pid, build)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _processes() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _carries(pid: int, build: str) -> bool:
    try:
        return f"{MARKER}={build}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
