"""From outside to where sandboxes are made: a user namespace, and mounts that are ours to change.

    imgbake
      |- enter, then supervise    for one sandbox: limits, signals, the terminal
      |    `- init                the first process inside: mounts, commands, what is left of them
      |         `- the command
      |- serve                    forks a supervise whenever it is asked
      `- supervise ...            a child of imgbake nevertheless

Each dies when the one above it does, and the kernel ends a process namespace with its first process; its
mounts go with it. So nothing is left, whichever of them is killed.

What comes after this is a program of its own, started from a mount of Python's executable that is read-only:
what a command that can make the kernel run /proc/self/exe gets hold of is the executable of whatever started
it (CVE-2019-5736).
"""

from __future__ import annotations

import os
import sys

from imgbake_sandbox import kernel, namespaces, starting
from imgbake_sandbox.failure import Failure
from imgbake_sandbox.records import Records
from imgbake_sandbox.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Becomes `supervise` for a sandbox, or exits with 125 and a message.

    Arguments: the path of a spec, and the process that must live for this one to.
    """
    path, parent = sys.argv[1:]
    kernel.block_signals(*kernel.TO_FORWARD)
    with open(path, "rb") as file:
        spec = Records(file.read())
    writer = Writer.to(spec.one("report"))
    try:
        become("supervise", path, parent, maps=spec)
    except Failure as failure:
        writer.failed(failure)
        os._exit(failure.code)


def become(module: str, *words: str, maps: Records, kept: int = -1) -> NoReturn:
    """Makes the namespaces and becomes a program of this package there; a descriptor is handed on.

    `maps` holds the records of an identity. The program must be told that it is to end with its parent.
    Raises Failure.
    """
    namespaces.enter(0, maps.one("identity"), maps.all("uid"), maps.all("gid"))
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.make_dependent("/")
        program = os.readlink("/proc/self/exe")
        kernel.attach_mount(kernel.clone_mount(program, kernel.MOUNT_RDONLY), program)
        if kept >= 0:
            os.set_inheritable(kept, True)
        os.execv(program, starting.arguments(module, *words))
    except OSError as error:
        raise Failure("mount", f"a root can't be made: {error}", error.errno) from None
