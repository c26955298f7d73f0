"""The first process of a sandbox: furnishes it, runs the commands, and ends with everything in it.

It is forked by `supervise`, which has the standard library alone on its path. As soon as the image is its
root it imports nothing: that would be code of the image, run with all rights over the sandbox.
"""

from __future__ import annotations

import os
import sys
import time

from imgbake_sandbox import kernel, launch, users
from imgbake_sandbox.failure import NOT_MADE, Failure
from imgbake_sandbox.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from imgbake_sandbox.records import Records
    from imgbake_sandbox.users import User
    from imgbake_sandbox.writer import Writer

_SIGNALED = 128  # and the signal's number, as shells have it
_NESTED_NAMESPACES = "/proc/sys/user/max_user_namespaces"


def run(spec: Records, scratch: str, writer: Writer, parent: int, terminal: int) -> NoReturn:
    """Runs the commands of a spec, and exits with the code of the last one that ran.

    `scratch` is any existing folder, `parent` a pipe that the parent holds open, `terminal` a socket for
    one or -1.
    """
    os.umask(launch.UMASK)  # what is made here must not depend on who bakes
    kernel.name_process("sandbox-init")
    kernel.die_with_parent()
    kernel.hide_from_others()
    if _has_ended(parent):
        os._exit(NOT_MADE)
    try:
        code = _run(spec, scratch, writer, terminal)
    except Failure as failure:
        writer.failed(failure)
        code = failure.code
    except OSError as error:
        writer.failed(Failure("mount", f"the sandbox can't be made: {error}", error.errno))
        code = NOT_MADE
    os._exit(code)


def _has_ended(process: int) -> bool:
    """Has the other end of this pipe, which nobody writes to, been closed?"""
    os.set_blocking(process, False)
    try:
        os.read(process, 1)
    except BlockingIOError:
        return False
    return True


def _run(spec: Records, scratch: str, writer: Writer, terminal: int) -> int:
    signals = kernel.signal_descriptor(kernel.SIGCHLD, *kernel.TO_FORWARD)
    if spec.one("identity") != "none":
        _forbid_nested_namespaces()
    if terminal >= 0:
        from imgbake_sandbox import terminal as terminals
    root = Root(spec, scratch)
    for note in root.notes:
        writer.note(note)
    sys.meta_path.clear()  # nothing is imported from here on
    points = root.enter()
    root.furnish(points)
    kernel.set_hostname(spec.one("hostname"))
    if spec.one("network") == "none":
        kernel.raise_loopback()
    user = users.find(spec.one("user"))
    root.give_secrets(user)
    _make_folder(spec.one("cwd"))
    slave = terminals.offer(terminal, user.uid) if terminal >= 0 else ""
    try:
        return _Commands(spec, user, writer, signals, slave).run()
    finally:
        root.clear(points)


def _forbid_nested_namespaces() -> None:
    """Commands can't make user namespaces, as in docker: each opens parts of the kernel to them."""
    try:
        with open(_NESTED_NAMESPACES, "w", encoding="ascii") as file:
            file.write("0")
    except OSError:
        pass  # a container around us holds it read-only


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise Failure("spec", f"the working folder {path} can't be made: {error.strerror}") from None


class _Commands:
    def __init__(self, spec: Records, user: User, writer: Writer, signals: int, terminal: str) -> None:
        self._spec = spec
        self._user = user
        self._writer = writer
        self._signals = signals
        self._terminal = terminal
        self._stopped_by = 0

    def run(self) -> int:
        """Runs one after the other until one fails. What they leave running ends with each."""
        for number, (title, variable, *argv) in enumerate(self._spec.all("command")):
            if variable:
                argv.append(os.environ[variable])
            if title:
                os.write(1, f"{title}\n".encode("utf-8", "surrogateescape"))
            start = time.monotonic()
            code = self._run_one(argv)
            self._writer.ended(number, code, time.monotonic() - start)
            _end_all()
            if code or self._stopped_by:
                return code or _SIGNALED + self._stopped_by
        return 0

    def _run_one(self, argv: list[str]) -> int:
        said, tell = os.pipe()
        child = os.fork()
        if not child:
            launch.launch(self._spec, self._user, argv, self._terminal, tell)
        os.close(tell)
        with open(said, "rb") as pipe:  # which ends when the program has been started
            problem = launch.problem(pipe.read())
        if problem:
            raise problem
        return self._wait(child)

    def _wait(self, child: int) -> int:
        while True:
            number, sender = kernel.next_signal(self._signals)
            if number == kernel.SIGCHLD:
                code = _reap(child)
                if code is not None:
                    return code
            elif not sender:  # commands have nothing to tell us
                if number in kernel.TO_END:
                    self._stopped_by = number
                _signal_group(child, number)


def _reap(child: int) -> int | None:
    """Takes note of all processes that have ended, and returns this one's exit code if it is among them."""
    code = None
    try:
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return code
            if process == child:
                code = os.waitstatus_to_exitcode(status)
                code = code if code >= 0 else _SIGNALED - code
    except ChildProcessError:
        return code


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass  # it has ended by itself


def _end_all() -> None:
    """Kills every process of the sandbox but this one, and waits until they are gone."""
    try:
        os.kill(-1, kernel.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
