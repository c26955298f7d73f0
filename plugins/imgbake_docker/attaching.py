"""Our own stdin, stdout and stderr, connected with those of a container.

The engine answers an attach (POST /containers/ID/attach) by turning the connection into a stream. With a
terminal it carries what is typed and shown, as it is. Without one, what the container prints comes in
frames: a byte for the stream (1 stdout, 2 stderr), three zeros, four bytes for the length, and the piece.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from imgbake.api import RunContext
from imgbake_docker.engine import Client
from imgbake_docker.following import follow

_PIECE = 1 << 16
_HEADER = struct.Struct(">BxxxL")
_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_RESIZE_EVERY = 0.25  # seconds

Piece = tuple[int, bytes]
"""A descriptor of ours, and what to write to it."""


class Streams:
    """Our streams, for one container."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.is_terminal = os.isatty(_INPUT) and os.isatty(_OUTPUT)
        # Only a plain connection can tell the other side that there is no more to read.
        is_plain = str(client.base_url).startswith(("http://", "http+docker://localhost"))
        self.has_input = self.is_terminal or is_plain

    def attend(self, container: str, ctx: RunContext) -> None:
        """Starts a container and moves what is typed and printed until it has ended.

        Raises what `ctx.check` raises; the container then runs on.
        """
        asked = {"stdin": int(self.has_input), "stdout": 1, "stderr": 1, "stream": 1}
        attached = self._client.attach_socket(container, asked)
        stream = getattr(attached, "_sock", attached)
        if hasattr(stream, "settimeout"):
            stream.settimeout(None)
        over = threading.Event()
        try:
            self._client.start(container)
            with self._raw(container, over):
                if self.has_input:
                    threading.Thread(target=_send, args=(stream,), daemon=True, name="typed").start()
                for to, data in follow(self._reader(stream), lambda: None, ctx):
                    _write(to, data)
        finally:
            over.set()
            attached.close()
            stream.close()

    @contextlib.contextmanager
    def _raw(self, container: str, over: threading.Event) -> Iterator[None]:
        """Every key goes to the container meanwhile, Ctrl-C too; and the terminals have one size."""
        if not self.is_terminal:
            yield
            return
        import termios
        import tty

        before = termios.tcgetattr(_INPUT)
        keeper = threading.Thread(target=self._keep_size, args=(container, over), daemon=True, name="size")
        try:
            tty.setraw(_INPUT)
            keeper.start()
            yield
        finally:
            over.set()
            termios.tcsetattr(_INPUT, termios.TCSAFLUSH, before)

    def _keep_size(self, container: str, over: threading.Event) -> None:
        from docker.errors import APIError

        known = None
        while not over.is_set():
            with contextlib.suppress(OSError, APIError):  # it has ended
                size = os.get_terminal_size(_OUTPUT)
                if size != known:
                    self._client.resize(container, height=size.lines, width=size.columns)
                    known = size
            over.wait(_RESIZE_EVERY)

    def _reader(self, stream: Any) -> Callable[[Callable[[Piece], None]], None]:
        def shown(put: Callable[[Piece], None]) -> None:
            while data := stream.recv(_PIECE):
                put((_OUTPUT, data))

        def printed(put: Callable[[Piece], None]) -> None:
            while header := _exactly(stream, _HEADER.size):
                kind, size = _HEADER.unpack(header)
                put((_ERRORS if kind == _ERRORS else _OUTPUT, _exactly(stream, size)))

        return shown if self.is_terminal else printed


def _exactly(stream: Any, size: int) -> bytes:
    """So many bytes of a stream, none when it has ended."""
    found = b""
    while len(found) < size:
        piece = stream.recv(size - len(found))
        if not piece:
            return b""
        found += piece
    return found


def _send(stream: Any) -> None:
    """Sends what we read until there is no more, and says so."""
    with contextlib.suppress(OSError):  # the container has ended
        while piece := os.read(_INPUT, _PIECE):
            stream.sendall(piece)
        if isinstance(stream, socket.socket):
            stream.shutdown(socket.SHUT_WR)


def _write(to: int, data: bytes) -> None:
    out = sys.stderr.buffer if to == _ERRORS else sys.stdout.buffer
    out.write(data)
    out.flush()
