"""A proxy before an HTTP server that resets, stalls, truncates, delays and answers 503, by chance.

It passes connections through request by request, as bytes, so the server behind it may be any. Chance is
seeded: a run can be had again.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
from types import TracebackType
from typing import Self

KINDS = ("reset", "stall", "truncate", "delay", "503")
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close() resets the connection
_PIECE = 1 << 16
_REFUSAL = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Broken(Exception):
    """The connection ends here."""


class RoughProxy:
    """Serves on a free loopback port for the time of a `with` block.

    A request meets a fault with the probability `often`; of which kind, is drawn from `kinds`. `passed`
    counts the bytes of request bodies that reached the server.
    """

    def __init__(self, port: int, seed: int, often: float = 0.1, kinds: tuple[str, ...] = KINDS) -> None:
        self.often, self.kinds = often, kinds
        self.passed = 0
        self.faults: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._behind = port
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._has_ended = threading.Event()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        behind = ("127.0.0.1", self._behind)
        with contextlib.suppress(_Broken, OSError), client, socket.create_connection(behind) as server:
            rest = b""  # of what has come: a client may send its next requests before it has the answer
            while not self._has_ended.is_set():
                head, rest = _head(client, rest)
                body = rest[: _length(head)]
                rest = rest[len(body) :]
                fault = self._pass_request(head, body, client, server)
                _pass_answer(server, client, is_head=head.startswith(b"HEAD "), is_cut=fault == "truncate")

    def _pass_request(self, head: bytes, rest: bytes, client: socket.socket, server: socket.socket) -> str:
        """Passes a request on, and says which fault it met."""
        fault, place = self._draw(head)
        if fault == "503":
            client.sendall(_REFUSAL)
            raise _Broken
        if fault == "delay":
            self._has_ended.wait(0.2)
        server.sendall(head)
        left = _length(head)
        while True:
            if fault in ("reset", "stall") and left <= place:
                self._break(client, fault)
            self._count(len(rest))
            server.sendall(rest)
            left -= len(rest)
            if not left:
                return fault
            rest = _received(client, left)

    def _draw(self, head: bytes) -> tuple[str, int]:
        """The fault that a request meets, and how many bytes of its body are left then."""
        with self._lock:
            if b" /v2/ " in head or self._random.random() >= self.often:
                return "", 0
            kind = self._random.choice(self.kinds)
            self.faults[kind] += 1
            return kind, int(_length(head) * self._random.random())

    def _break(self, client: socket.socket, how: str) -> None:
        if how == "stall":
            self._has_ended.wait(3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        raise _Broken

    def _count(self, number: int) -> None:
        with self._lock:
            self.passed += number


def _head(source: socket.socket, data: bytes = b"") -> tuple[bytes, bytes]:
    """The head of a message that begins with this, and what came together with it."""
    while b"\r\n\r\n" not in data:
        data += _received(source, _PIECE)
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _received(source: socket.socket, most: int) -> bytes:
    data = source.recv(min(most, _PIECE))
    if not data:
        raise _Broken
    return data


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


def _pass_answer(server: socket.socket, client: socket.socket, *, is_head: bool, is_cut: bool) -> None:
    head, rest = _head(server)
    client.sendall(head)
    left = 0 if is_head else _length(head)
    while left:
        rest = rest or _received(server, left)
        if is_cut:
            client.sendall(rest[: len(rest) // 2])
            raise _Broken
        client.sendall(rest)
        left -= len(rest)
        rest = b""
