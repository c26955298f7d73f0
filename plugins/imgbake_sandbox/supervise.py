"""The outer process of a sandbox: has a spec's commands run, and stays until the last of them is gone."""

from __future__ import annotations

import os
import sys

from imgbake_sandbox import init, kernel
from imgbake_sandbox.failure import NOT_MADE, Failure
from imgbake_sandbox.limits import Limits
from imgbake_sandbox.records import Records
from imgbake_sandbox.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from imgbake_sandbox.terminal import Terminal

_NAMESPACES = kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
_SIGNALED = 128


def main() -> NoReturn:
    """Supervises one sandbox. Arguments as `run` has them."""
    path, parent = sys.argv[1:]
    run(path, int(parent))


def run(path: str, parent: int) -> NoReturn:
    """Exits with the code of the last command that ran, or 125 (and 126, 127) with a message.

    `path` is that of a spec, and `parent` the process that must live for this one to.
    """
    code = NOT_MADE
    try:
        kernel.name_process("sandbox")
        with open(path, "rb") as file:
            spec = Records(file.read())
        writer = Writer.to(spec.one("report"))
        limits = Limits(spec.pairs("limit"))
        try:
            code = _supervise(spec, os.path.dirname(path), writer, limits, parent)
        except Failure as failure:
            writer.failed(failure)
            code = failure.code
        except OSError as error:
            writer.failed(Failure("unshare", f"the sandbox can't be made: {error}", error.errno))
        finally:
            limits.close()
    finally:
        os._exit(code)


def _supervise(spec: Records, scratch: str, writer: Writer, limits: Limits, parent: int) -> int:
    resizing = [kernel.SIGWINCH] if spec.one("tty") else []
    signals = kernel.signal_descriptor(kernel.SIGCHLD, *kernel.TO_FORWARD, *resizing)
    kernel.die_with_parent()
    kernel.hide_from_others()
    if os.getppid() != parent:
        raise Failure("unshare", "who started the sandbox has ended")
    kernel.unshare(_NAMESPACES | (kernel.CLONE_NEWNET if spec.one("network") == "none" else 0))
    alive, held_open = os.pipe()
    terminal = _terminal() if spec.one("tty") else None
    first = os.fork()
    if not first:
        os.close(held_open)
        _become_init(spec, scratch, writer, limits, alive, terminal.inside if terminal else -1)
    os.close(alive)
    code = (
        terminal.attend(lambda: _ended(first), lambda number: os.kill(first, number), signals)
        if terminal
        else _wait(first, signals)
    )
    if limits.kills():
        writer.note("there was not enough memory within the limit, so the kernel ended a process")
    return code


def _terminal() -> Terminal:
    if not (os.isatty(0) and os.isatty(1)):
        raise Failure("spec", "standard input and output are no terminal")
    from imgbake_sandbox.terminal import Terminal  # takes longer than all the rest

    return Terminal()


def _become_init(
    spec: Records, scratch: str, writer: Writer, limits: Limits, alive: int, terminal: int
) -> NoReturn:
    try:
        os.setsid()  # signals to our group come through `_wait` alone
        for note in limits.apply():
            writer.note(note)
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.make_private("/")
        init.run(spec, scratch, writer, alive, terminal)
    except OSError as error:
        writer.failed(Failure("mount", f"a root can't be made: {error}", error.errno))
    finally:
        os._exit(NOT_MADE)


def _wait(first: int, signals: int) -> int:
    """Waits for the sandbox to end, and passes on signals. Returns its exit code."""
    while True:
        number, _ = kernel.next_signal(signals)
        if number == kernel.SIGCHLD:
            code = _ended(first)
            if code is not None:
                return code
        else:
            os.kill(first, number)


def _ended(process: int) -> int | None:
    """The exit code of a child, or None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALED - code
