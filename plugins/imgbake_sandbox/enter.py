"""Runs the commands of a spec in a sandbox, and stays until the last process in it is gone.

    imgbake
      `- enter        outside but for the user namespace: limits, ids, signals, the terminal
          `- init     the first process inside: mounts, commands, what is left of them
              `- the command

Each dies when the one above it does, and the kernel ends a process namespace with its first process; its
mounts go with it. So nothing is left, whichever of them is killed.

`init` is a program of its own, and started from a mount of Python's executable that is read-only: what a
command that can make the kernel run /proc/self/exe gets hold of is the executable of whatever started it
(CVE-2019-5736).
"""

from __future__ import annotations

import os
import sys

from imgbake_sandbox import kernel, namespaces, starting
from imgbake_sandbox.failure import NOT_MADE, Failure
from imgbake_sandbox.limits import Limits
from imgbake_sandbox.records import Records
from imgbake_sandbox.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from imgbake_sandbox.terminal import Terminal

_NAMESPACES = kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
_FORWARDED = (
    kernel.SIGTERM,
    kernel.SIGINT,
    kernel.SIGHUP,
    kernel.SIGQUIT,
    kernel.SIGUSR1,
    kernel.SIGUSR2,
)
_SIGNALED = 128
_REPORT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def main() -> NoReturn:
    """Exits with the code of the last command that ran, or 125 (and 126, 127) with a message.

    Arguments: the path of a spec, and the process that must live for this one to.
    """
    path, parent = sys.argv[1:]
    with open(path, "rb") as file:
        spec = Records(file.read())
    resizing = [kernel.SIGWINCH] if spec.one("tty") else []
    signals = kernel.signal_descriptor(kernel.SIGCHLD, *_FORWARDED, *resizing)
    report = spec.one("report")
    writer = Writer(os.open(report, _REPORT, 0o600) if report else -1)
    limits = Limits(spec.pairs("limit"))
    try:
        code = _supervise(path, spec, writer, limits, signals, int(parent))
    except Failure as failure:
        writer.failed(failure)
        code = failure.code
    except OSError as error:
        writer.failed(Failure("unshare", f"the sandbox can't be made: {error}", error.errno))
        code = NOT_MADE
    finally:
        limits.close()
    os._exit(code)


def _supervise(path: str, spec: Records, writer: Writer, limits: Limits, signals: int, parent: int) -> int:
    flags = _NAMESPACES | (kernel.CLONE_NEWNET if spec.one("network") == "none" else 0)
    namespaces.enter(flags, spec.one("identity"), spec.all("uid"), spec.all("gid"))
    kernel.die_with_parent()
    kernel.hide_from_others()
    if os.getppid() != parent:
        raise Failure("unshare", "who started the sandbox has ended")
    alive, _held_open = os.pipe()
    terminal = _terminal() if spec.one("tty") else None
    init = os.fork()
    if not init:
        os.close(_held_open)
        _become_init(path, writer, limits, alive, terminal.inside if terminal else -1)
    os.close(alive)
    code = (
        terminal.attend(lambda: _ended(init), lambda number: os.kill(init, number), signals)
        if terminal
        else _wait(init, signals)
    )
    if limits.kills():
        writer.note("there was not enough memory within the limit, so the kernel ended a process")
    return code


def _terminal() -> Terminal:
    if not (os.isatty(0) and os.isatty(1)):
        raise Failure("spec", "standard input and output are no terminal")
    from imgbake_sandbox.terminal import Terminal  # takes longer than all the rest

    return Terminal()


def _become_init(path: str, writer: Writer, limits: Limits, alive: int, terminal: int) -> NoReturn:
    try:
        os.setsid()  # signals to our group come through `_wait` alone
        for note in limits.apply():
            writer.note(note)
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.make_private("/")
        program = os.readlink("/proc/self/exe")
        kernel.attach_mount(kernel.clone_mount(program, kernel.MOUNT_RDONLY), program)
        descriptors = (writer.file, alive, terminal)
        for descriptor in descriptors:
            if descriptor >= 0:
                os.set_inheritable(descriptor, True)
        os.execv(program, starting.arguments("init", path, *map(str, descriptors)))
    except OSError as error:
        writer.failed(Failure("mount", f"a root can't be made: {error}", error.errno))
    finally:
        os._exit(NOT_MADE)


def _wait(init: int, signals: int) -> int:
    """Waits for the sandbox to end, and passes on signals. Returns its exit code."""
    while True:
        number, _ = kernel.next_signal(signals)
        if number == kernel.SIGCHLD:
            code = _ended(init)
            if code is not None:
                return code
        else:
            os.kill(init, number)


def _ended(process: int) -> int | None:
    """The exit code of a child, or None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALED - code
