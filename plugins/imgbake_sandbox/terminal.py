"""A terminal for a sandbox: one of its own inside, connected with the user's outside.

The user's terminal itself never gets inside, for whoever controls it can type into it (TIOCSTI). This is
imported by a sandbox that has a terminal only.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import tty

from imgbake_sandbox import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_UNLOCK = 0x40045431  # TIOCSPTLCK
_NUMBER = 0x80045430  # TIOCGPTN
_SIZE = "HHHH"
_STEP = 1 << 16
_INPUT, _OUTPUT = 0, 1


def offer(connection: int, uid: int) -> str:
    """Makes a terminal inside, sends its other end through a socket, and returns its path.

    It belongs to this user. Raises OSError.
    """
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _UNLOCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(master, _NUMBER, b"\0" * 4))
    path = f"/dev/pts/{number}"
    os.chown(path, uid, -1)
    with socket.socket(fileno=connection) as sender:
        sender.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", master))])
    os.close(master)
    return path


class Terminal:
    """The outer side, for a process whose standard input and output are a terminal."""

    def __init__(self) -> None:
        self._outer, self._inner = socket.socketpair()
        self.inside = self._inner.fileno()  # to be handed to the process inside

    def attend(self, ended: Callable[[], int | None], forward: Callable[[int], None], signals: int) -> int:
        """Moves what is typed and what is shown until `ended` gives an exit code, and returns that.

        Signals are read from `signals`; those that aren't for the terminal are forwarded.
        """
        self._inner.close()
        data, ancillary, _, _ = self._outer.recvmsg(1, socket.CMSG_SPACE(4))
        self._outer.close()
        master = struct.unpack("i", ancillary[0][2])[0] if data else -1
        before = termios.tcgetattr(_INPUT)
        try:
            if master >= 0:
                tty.setraw(_INPUT)
                _resize(master)
            return _move_until(ended, forward, signals, master)
        finally:
            termios.tcsetattr(_INPUT, termios.TCSAFLUSH, before)


def _move_until(
    ended: Callable[[], int | None], forward: Callable[[int], None], signals: int, master: int
) -> int:
    poller = select.poll()
    poller.register(signals, select.POLLIN)
    if master >= 0:
        poller.register(master, select.POLLIN)
        poller.register(_INPUT, select.POLLIN)
    while True:
        for file, _ in poller.poll():
            if file == signals:
                number, _ = kernel.next_signal(signals)
                code = ended() if number == kernel.SIGCHLD else None
                if code is not None:
                    _drain(master)
                    return code
                if number == kernel.SIGWINCH:
                    _resize(master)
                elif number != kernel.SIGCHLD:
                    forward(number)
            elif not _move(file, master if file == _INPUT else _OUTPUT):
                poller.unregister(file)


def _move(source: int, target: int) -> bool:
    """Moves what is there. False at the end."""
    try:
        data = os.read(source, _STEP)
    except OSError:  # EIO: nobody has the terminal open any more
        return False
    left = memoryview(data)
    while left:
        left = left[os.write(target, left) :]
    return bool(data)


def _drain(master: int) -> None:
    if master >= 0:
        os.set_blocking(master, False)
        while _move(master, _OUTPUT):
            pass


def _resize(master: int) -> None:
    """Gives the inner terminal the size of the outer one."""
    if master >= 0:
        fcntl.ioctl(
            master,
            termios.TIOCSWINSZ,
            fcntl.ioctl(_INPUT, termios.TIOCGWINSZ, b"\0" * struct.calcsize(_SIZE)),
        )
