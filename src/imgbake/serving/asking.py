"""Has a server carry out a command line, and passes on what happens to us meanwhile.

Loaded where somebody serves, in a hurry: `contextlib` and `pathlib` would take as long as all that it does.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import struct
import sys

from imgbake.serving import ENDED, LENGTH, TAKEN, place
from imgbake.serving.circumstances import circumstances

TYPE_CHECKING = False  # `typing` is slow to import, too
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_SECONDS = 5  # to be taken
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OPEN = "/proc/self/fd"
_PEER = "3i"  # process, user and group of who listens


def ask(words: Sequence[str]) -> int | None:
    """The exit code of a command line that a server carried out; None when nobody did anything.

    Raises BakeError when who carried it out is gone.
    """
    if any(signal.getsignal(number) is signal.SIG_IGN for number in _PASSED_ON):
        return None  # they are not ignored there
    if _is_behind():
        return None  # who reads from a terminal there is stopped, but not in a session of its own
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(_SECONDS)
            connection.connect(place.address())
            if not _is_ours(connection):
                return None
            _hand_over(connection, words)
            if not _is_taken(connection):
                return None
        except OSError:
            return None
        connection.settimeout(None)
        return _ended(connection)


def _is_behind() -> bool:
    """Are we in the background of a terminal?"""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp()
    except OSError:  # it is no terminal, or not ours
        return False


def _hand_over(connection: socket.socket, words: Sequence[str]) -> None:
    numbers = [number for number in map(int, os.listdir(_OPEN)) if _is_handed(number)]  # noqa: PTH208  # slow
    streams = (sys.stdin, sys.stdout, sys.stderr)
    request = {
        "words": list(words),
        "cwd": os.getcwd(),  # noqa: PTH109  # as above
        "env": dict(os.environb),
        "numbers": numbers,
        "streams": [(stream.encoding, stream.errors) for stream in streams],
        "circumstances": circumstances(),
    }
    body = marshal.dumps(request)
    socket.send_fds(connection, [struct.pack(LENGTH, len(body))], numbers)
    connection.sendall(body)


def _is_ours(connection: socket.socket) -> bool:
    """Does it lead to a process of this user's, whatever became of the folder since we looked at it?"""
    size = struct.calcsize(_PEER)
    _, user, _ = struct.unpack(_PEER, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return bool(user == os.geteuid())


def _is_taken(connection: socket.socket) -> bool:
    try:
        return connection.recv(len(TAKEN)) == TAKEN
    except TimeoutError:
        connection.shutdown(socket.SHUT_RD)  # now it can't be taken any more: was it just before?
        return connection.recv(len(TAKEN)) == TAKEN


def _is_handed(number: int) -> bool:
    """Was this file open when we started, or stands for one of the three that must be?"""
    try:
        return number <= sys.stderr.fileno() or os.get_inheritable(number)
    except OSError:  # it was open to list them
        return False


def _ended(connection: socket.socket) -> int:
    """Waits for the end of the command, and gives its exit code."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        try:  # noqa: SIM105  # see at the top
            connection.send(bytes([number]))
        except OSError:  # it has just ended
            pass

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    said = connection.recv(struct.calcsize(ENDED))
    if not said:
        from imgbake.errors import BakeError

        what = "`imgbake serve` ended before the command did"
        raise BakeError(what, hint="do it again: what was finished stays finished")
    code: int = struct.unpack(ENDED, said)[1]
    if code < 0:
        _end_by(-code)
    return code


def _end_by(number: int) -> None:
    """Ends this process as the command was: by a signal."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
