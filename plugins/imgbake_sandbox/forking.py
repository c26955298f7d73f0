"""Makes sandboxes for imgbake as long as it lives, without starting Python for each.

It is given a socket. A request is three descriptors: records of the words and the environment that a program
would have had, its standard output, its standard error. What comes back is a record.

    ready               once, at the beginning
    started PROCESS     a child of imgbake, which leads a session of its own and is a `supervise`
    refused NUMBER      the kernel makes no further process

It ends when the other end of the socket is closed.
"""

from __future__ import annotations

import os
import socket
import sys

from imgbake_sandbox import kernel, records, supervise
from imgbake_sandbox.failure import NOT_MADE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_REQUEST = 3  # descriptors


def main() -> NoReturn:
    """Serves. Arguments: the descriptor of the socket, and the process that sandboxes are made for."""
    kernel.name_process("sandboxes")
    kernel.hide_from_others()
    parent = int(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        connection.set_inheritable(False)
        _send(connection, "ready")
        while True:
            asked, files, _, _ = socket.recv_fds(connection, 1, _REQUEST, socket.MSG_CMSG_CLOEXEC)
            if not asked:
                os._exit(0)
            try:
                if not kernel.fork_for_parent():
                    _become_sandbox(connection, files, parent)
            except OSError as error:
                _send(connection, "refused", str(error.errno))
            for file in files:
                os.close(file)


def _become_sandbox(connection: socket.socket, files: list[int], parent: int) -> NoReturn:
    try:
        os.setsid()
        _send(connection, "started", str(os.getpid()))
        connection.close()
        request, stdout, stderr = files
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdout)
        os.close(stderr)
        with open(request, "rb") as file:
            asked = records.Records(file.read())
        os.environ.clear()
        os.environ.update(asked.pairs("env"))
        supervise.run(asked.one("word"), parent)
    finally:
        os._exit(NOT_MADE)


def _send(connection: socket.socket, *record: str) -> None:
    connection.send(records.encode([record]))
