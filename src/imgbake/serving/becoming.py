"""How a fork of the server becomes the command that a client handed over."""

from __future__ import annotations

import fcntl
import io
import marshal
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from imgbake.serving import LENGTH, TAKEN

_SECONDS = 5  # for a request to come
_MOST_FILES = 253  # that one message takes along, says unix(7)
_DEFAULT = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Request(NamedTuple):
    """A command line, and all that it was given where it was typed."""

    words: list[str]
    cwd: str
    env: dict[bytes, bytes]
    numbers: list[int]  # of the open files
    streams: list[tuple[str, str]]  # encoding and errors of stdin, stdout and stderr
    circumstances: dict[str, str]
    files: list[int]  # the open files, with numbers of our own

    def differing(self, own: Mapping[str, str]) -> list[str]:
        """The circumstances in which it isn't as we are."""
        names = self.circumstances.keys() | own.keys()
        return sorted(name for name in names if self.circumstances.get(name) != own.get(name))


def receive(connection: socket.socket) -> Request:
    """Reads what a client hands over. Raises OSError and ValueError when it doesn't."""
    connection.settimeout(_SECONDS)
    size = struct.calcsize(LENGTH)
    head, files, _, _ = socket.recv_fds(connection, size, _MOST_FILES)
    (length,) = struct.unpack(LENGTH, head.ljust(size, b"\0"))
    body = bytearray()
    while len(body) < length and (piece := connection.recv(length - len(body))):
        body += piece
    said: dict[str, Any] = marshal.loads(body)
    return Request(**said, files=files)


def become(connection: socket.socket, request: Request) -> None:
    """Makes this process the one that was asked for, and says so to the client. Raises OSError."""
    os.setsid()  # without a terminal: signals come from the client
    os.chdir(request.cwd)
    os.environ.clear()
    os.environb.update(request.env)
    time.tzset()
    sys.argv[1:] = request.words
    connection = _with_files(connection, request)
    _reopen_streams(request.streams)
    _heed(connection)
    connection.setblocking(True)
    connection.sendall(TAKEN)


def _with_files(connection: socket.socket, request: Request) -> socket.socket:
    """Opens the client's files by their numbers there, and nothing else but the connection."""
    ours = (int(each.name) for each in Path("/proc/self/fd").iterdir())
    above = 1 + max(*ours, *request.numbers)
    fd, *files = (
        fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, above) for each in (connection.detach(), *request.files)
    )
    os.closerange(0, above)
    for file, number in zip(files, request.numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    return socket.socket(fileno=fd)


def _reopen_streams(streams: Sequence[tuple[str, str]]) -> None:
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        encoding, errors = streams[number]
        stream = open(number, mode, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115  # to stay
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    assert isinstance(sys.stderr, io.TextIOWrapper)
    sys.stderr.reconfigure(line_buffering=True)


def _heed(connection: socket.socket) -> None:
    """Takes the signals that the client passes on, and its end for a hang-up, as if it were our terminal."""

    def hear(number: int, frame: FrameType | None) -> None:
        try:
            said = connection.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:  # it went before it knew that it was taken
            said = b""
        if said:
            os.kill(os.getpid(), signal.SIGIO)  # for what came along with it
        signal.raise_signal(said[0] if said else signal.SIGHUP)

    for each in _DEFAULT:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGIO, hear)
    fd = connection.fileno()
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    signal.raise_signal(signal.SIGIO)  # for what came before
