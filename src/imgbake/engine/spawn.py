"""Starting processes by posix_spawn(3), which costs a fraction of what `subprocess` does."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

_TO_DEFAULT = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them, and programs count on them
_ELSEWHERE = ("/bin/sh", "-c", 'cd -- "$0" && exec "$@"')  # posix_spawn can't change the folder


class Child:
    """A process that leads a session and a process group of its own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def has_ended(self) -> bool:
        """Has it ended? Never waits."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None

    def wait(self) -> int:
        """How it exited, once it has: negative for a signal."""
        if self._code is None:
            _, status = os.waitpid(self.pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to it and to its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def start(argv: Sequence[str], env: Mapping[bytes, bytes], cwd: Path, *, stdout: int, stderr: int) -> int:
    """Starts a program, looked for on the PATH of `env`, with nothing to read from its stdin: a Starter.

    Of what we have open it gets these two alone. Raises OSError when it can't be started.
    """
    path, words = _found(argv[0], env), list(argv)
    if os.getcwd() != os.fspath(cwd):  # noqa: PTH109  # no object for each process
        if not os.access(os.path.join(cwd, path), os.X_OK):
            raise _refusal(argv[0], os.path.join(cwd, path))
        path, words = _ELSEWHERE[0], [*_ELSEWHERE, os.fspath(cwd), *argv]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    return os.posix_spawn(path, words, env, file_actions=actions, setsid=True, setsigdef=_TO_DEFAULT)


def _found(program: str, env: Mapping[bytes, bytes]) -> str:
    if "/" in program:
        return program
    found = shutil.which(program, path=os.fsdecode(env.get(b"PATH", b"")) or os.defpath)
    if found is None:
        raise _refusal(program, program)
    return found


def _refusal(program: str, path: str) -> OSError:
    number = errno.EACCES if os.path.lexists(path) else errno.ENOENT
    return OSError(number, os.strerror(number), program)
