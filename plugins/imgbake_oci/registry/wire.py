"""A connected socket on which a stopped build and a stalled peer are noticed.

Python's own timeouts end a read once and for all; here every wait is cut into ticks, and between two
ticks the build may stop us. That bounds the time to stop by a tick, and not by the timeout.
"""

from __future__ import annotations

import io
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import msgspec

from imgbake.api import BakeError
from imgbake_oci.registry.patience import TICK, Check, Watch

P = ParamSpec("P")
Sent = Callable[[int], None]

_BUFFER = 1 << 17
_SENDFILE_STEP = 1 << 22


Grown = Callable[[int, Check], int]


class FilePart(msgspec.Struct, frozen=True):
    """A part of a file, to be sent.

    Of a file that is still being written, `grown` waits until there is more of it than so many bytes, and
    says how many there are then. Raises BakeError when no more will come.
    """

    path: Path
    start: int
    size: int
    grown: Grown | None = None

    def until(self, place: int, check: Check) -> int:
        """The place in the file up to which it can be read, after waiting for it to be beyond `place`."""
        end = self.start + self.size
        return end if self.grown is None or place >= end else min(end, self.grown(place, check))


class Wire:
    """A socket as http.client uses it, with stops and stalls. `check` raises when the build stops."""

    def __init__(self, sock: socket.socket, stall: float) -> None:
        sock.settimeout(TICK)
        self.check: Check = Watch().check
        self.stall = stall  # seconds; both are set for each request
        self._sock = sock
        self._users = 1  # the connection, and each reader it made: the last one closes the socket

    def makefile(self, mode: str) -> io.BufferedReader:
        """A reader of what comes, which keeps the socket open as long as it is open itself."""
        self._users += 1
        return io.BufferedReader(_Reader(self), _BUFFER)

    def recv_into(self, buffer: memoryview) -> int:
        """Receives at least one byte, or none at the end. Raises TimeoutError on a stall."""
        return self._wait(self._sock.recv_into, buffer)

    def sendall(self, data: bytes | memoryview) -> None:
        """Sends all of it. Raises TimeoutError on a stall."""
        view = memoryview(data)
        while view:
            view = view[self._wait(self._sock.send, view) :]

    def send_file(self, part: FilePart, sent: Sent) -> None:
        """Sends a part of a file: the kernel does it alone on a plain connection.

        `sent` hears how many bytes more have gone. Raises TimeoutError on a stall, BakeError when the
        file can't be read or ends early.
        """
        part.until(part.start, self.check)  # says why, if there is no file because it could not be written
        with _opened(part) as file:
            if isinstance(self._sock, ssl.SSLSocket):
                self._send_read(file, part, sent)
            else:
                self._send_directly(file, part, sent)

    def is_idle(self) -> bool:
        """Is the connection open with nothing to read? A server that closes a kept one shows thereby."""
        return not self._ready(select.POLLIN, 0)

    def close(self) -> None:
        """One user less."""
        self._users -= 1
        if not self._users:
            self._sock.close()

    def _send_read(self, file: io.FileIO, part: FilePart, sent: Sent) -> None:
        file.seek(part.start)
        buffer = memoryview(bytearray(_BUFFER))
        place, end = part.start, part.start + part.size
        while place < end:
            there = part.until(place, self.check)
            count = file.readinto(buffer[: min(there - place, _BUFFER)])
            _check_not_cut(count, part)
            self.sendall(buffer[:count])
            sent(count)
            place += count

    def _send_directly(self, file: io.FileIO, part: FilePart, sent: Sent) -> None:
        place, end = part.start, part.start + part.size
        while place < end:
            there = part.until(place, self.check)
            count = self._wait(self._sendfile, file, place, min(there - place, _SENDFILE_STEP))
            _check_not_cut(count, part)
            sent(count)
            place += count

    def _sendfile(self, file: io.FileIO, place: int, count: int) -> int:
        """Lets the kernel send some bytes; waits a tick for room if there is none."""
        try:
            return os.sendfile(self._sock.fileno(), file.fileno(), place, count)
        except BlockingIOError:
            self._ready(select.POLLOUT, TICK)
            raise TimeoutError from None

    def _wait(self, move: Callable[P, int], *args: P.args, **named: P.kwargs) -> int:
        """What `move` returns, tried at every tick until it moves bytes."""
        self.check()
        end = time.monotonic() + self.stall
        while True:
            try:
                return move(*args, **named)
            except TimeoutError:
                self.check()
                if time.monotonic() > end:
                    raise TimeoutError(f"nothing moved for {self.stall:g} s") from None

    def _ready(self, what: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._sock, what)
        return bool(poll.poll(seconds * 1000))


class _Reader(io.RawIOBase):
    """What is received, as a file."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives one
        """Reads some bytes."""
        return self._wire.recv_into(buffer)

    def close(self) -> None:
        """Closes it, and with it the socket if the connection is done with it."""
        if not self.closed:
            self._wire.close()
        super().close()


def _opened(part: FilePart) -> io.FileIO:
    try:
        return part.path.open("rb", buffering=0)
    except OSError as error:
        raise BakeError(f"{part.path}: cannot be read to be sent: {error.strerror}") from error


def _check_not_cut(count: int, part: FilePart) -> None:
    if not count:
        raise BakeError(f"{part.path}: became shorter while it was sent")
