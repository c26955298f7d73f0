"""Runs a program of the host as root of a user namespace: see `Identity.command`."""

from __future__ import annotations

import os
import sys

from imgbake_sandbox import kernel, namespaces
from imgbake_sandbox.failure import NOT_MADE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Becomes the command.

    Arguments: the process that must live for this one to, the kind of identity, lines of its maps, "--", and
    the command.
    """
    parent, identity, *rest = sys.argv[1:]
    end = rest.index("--")
    lines = [line.split(":", 1) for line in rest[:end]]
    uids, gids = (
        [tuple(text.split(":")) for name, text in lines if name == wanted] for wanted in ("uid", "gid")
    )
    try:
        namespaces.enter(0, identity, uids, gids)
        kernel.die_with_parent()
        if os.getppid() == int(parent):
            os.execvp(rest[end + 1], rest[end + 1 :])
    except (Failure, OSError) as error:
        os.write(2, f"sandbox: {error}\n".encode("utf-8", "surrogateescape"))
    os._exit(NOT_MADE)
