"""Several streams over one WebSocket (RFC 6455), as the API's `exec` and `attach` have them.

Each message begins with the number of its stream: 0 stdin, 1 stdout, 2 stderr, 3 how it ended, as a
Status in JSON. This is `v4.channel.k8s.io`, which every version of Kubernetes speaks. It can't say that
stdin has ended, so what reads there must know how much to read.
"""

from __future__ import annotations

import base64
import http.client
import secrets
import struct
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from imgbake.api import BakeError
from imgbake_kaniko.cluster.connection import Connection
from imgbake_tasks.patient import Patience, Patient

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, OUTCOME = range(4)

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_PIECE = 1 << 15
_LONGEST = 1 << 24  # of a message
_HASTE = Patience(1, lambda: None)  # to say goodbye, whatever stops us


class Channel:
    """An open `exec` or `attach`."""

    def __init__(self, connection: Connection, path: str) -> None:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": PROTOCOL,
        }
        self._http, response = connection.send("GET", path, headers=headers)
        if response.status != http.client.SWITCHING_PROTOCOLS:
            self._http.end()
            raise BakeError(f"the cluster did not open a channel: HTTP {response.status}")
        assert isinstance(self._http.sock, Patient)
        self._socket = self._http.sock
        self._read: Any = response.fp
        self._socket.patience = self._socket.patience.endless

    def close(self) -> None:
        """Ends it. What runs at the other end sees its stdin end."""
        self._socket.patience = _HASTE
        try:
            self._send(_CLOSE, struct.pack(">H", 1000))
        except OSError:
            pass  # it was closed by the other end
        finally:
            self._http.end()
            self._read.close()

    def write(self, pieces: Iterable[bytes], sent: Callable[[int], None]) -> None:
        """Sends to stdin; `sent` hears how many bytes so far. Raises OSError when nobody listens."""
        count = 0
        for piece in pieces:
            for start in range(0, len(piece), _PIECE):
                part = piece[start : start + _PIECE]
                self._send(_BINARY, bytes([STDIN]) + part)
                count += len(part)
            sent(count)

    def messages(self) -> Iterable[tuple[int, bytes]]:
        """Streams and what came from them, until the other end is done. Raises OSError."""
        while True:
            kind, data = self._message()
            if kind == _CLOSE:
                return
            if kind == _PING:
                self._send(_PONG, data)
            elif kind in (_TEXT, _BINARY) and data:
                yield data[0], data[1:]

    def _send(self, kind: int, data: bytes) -> None:
        """One frame, masked as a client must (section 5.3)."""
        size = len(data)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        self._socket.sendall(head + _NO_MASK + data)

    def _message(self) -> tuple[int, bytes]:
        """A message, its fragments joined. The end of the connection counts as a close."""
        kind, data = 0, b""
        while True:
            start = self._read.read(2)
            if len(start) < 2:
                return _CLOSE, b""
            final, opcode, size = start[0] & 0x80, start[0] & 0x0F, start[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._exactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._exactly(8))
            if size + len(data) > _LONGEST:
                raise ConnectionAbortedError("a message that is too long")
            piece = self._exactly(size)
            if opcode >= _CLOSE:
                return opcode, piece  # control frames may come between fragments, and are never fragments
            kind, data = opcode or kind, data + piece
            if final:
                return kind, data

    def _exactly(self, size: int) -> bytes:
        data: bytes = self._read.read(size)
        if len(data) < size:
            raise ConnectionAbortedError("broken off")
        return data


_NO_MASK = b"\0\0\0\0"  # a mask is required; TLS hides the content from those whom it is meant to protect


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended, as a Status of the API."""

    status: str = ""
    message: str = ""


def outcome(data: bytes) -> Outcome:
    """What the last message of a channel says."""
    return msgspec.json.decode(data, type=Outcome)
