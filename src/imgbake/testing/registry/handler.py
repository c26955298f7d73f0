"""One connection to the registry: reads requests, lets faults happen, writes answers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from imgbake.testing.registry import routes
from imgbake.testing.registry.faults import Fault
from imgbake.testing.registry.messages import Answer, Ask, refuse

if TYPE_CHECKING:
    from imgbake.testing.registry.server import Server

_INVERTED = bytes(range(255, -1, -1))
_PIECE = 1 << 16
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close() resets the connection


class _BrokenOff(Exception):
    """The request's body ended before its time, by our fault or by the client's."""


class Handler(BaseHTTPRequestHandler):
    """Serves one connection, which is kept alive."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Serves one request, whatever its method."""
        fault = self.server.faults.take(self.command, self.path) or Fault(times=0)
        self._body_left = True
        split = urlsplit(self.path)
        body = self._body(fault)
        query = {name: " ".join(values) for name, values in parse_qs(split.query).items()}
        ask = Ask(self.command, split.path, query, self.headers, body)
        try:
            answer = self._answer(ask, fault)
            self.server.saw(self.command, self.path, self.headers, answer.status)
            self._send(answer, fault)
        except _BrokenOff:
            self.server.saw(self.command, self.path, self.headers, 0)
            self._reset()
        except (ConnectionError, TimeoutError):
            self._reset()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: the registry keeps a log of its own."""

    def _answer(self, ask: Ask, fault: Fault) -> Answer:
        if fault.status:
            return refuse(fault.status, fault.code, "a fault on demand")
        if ask.path == "/token":
            return self.server.access.token(ask)
        refusal = self.server.access.refusal(ask, self.server.url)
        return refusal or routes.answer(self.server.contents, ask)

    def _body(self, fault: Fault) -> Iterator[bytes]:
        """The request's body in pieces. A fault may break it off."""
        limit = fault.after if fault.breaks and self._has_body() else None
        passed = 0
        for piece in self._chunks() if self.headers.get("Transfer-Encoding") else self._whole():
            if limit is not None and passed + len(piece) > limit:
                yield piece[: limit - passed]
                self.server.closing.wait(fault.stall)
                raise _BrokenOff
            passed += len(piece)
            yield piece
        self._body_left = False

    def _has_body(self) -> bool:
        return self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers

    def _whole(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read1(min(left, _PIECE))
            if not piece:
                raise _BrokenOff
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        """A body in chunked transfer coding (RFC 9112, 7.1)."""
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            piece = self.rfile.read(size)
            if len(piece) < size:
                raise _BrokenOff
            self.rfile.readline()
            yield piece
        while self.rfile.readline().strip():
            pass

    def _send(self, answer: Answer, fault: Fault) -> None:
        breaks = fault.breaks and not self._has_body()
        if breaks and fault.reset and not fault.after:
            return self._reset()
        if self._has_body() and self._body_left:
            self.close_connection = True
        self._send_head(answer, fault)
        if self.command != "HEAD":
            self._send_body(answer, fault)
        if breaks and fault.stall:
            self.server.closing.wait(fault.stall)
        if breaks and fault.reset:
            return self._reset()
        if breaks and fault.truncate:
            self.close_connection = True
        return None

    def _send_head(self, answer: Answer, fault: Fault) -> None:
        self.send_response(answer.status)
        headers = {**answer.headers, "Content-Length": str(answer.length), **fault.headers}
        if self.close_connection:
            headers["Connection"] = "close"
        if answer.status == 204:
            del headers["Content-Length"]
        for name, value in headers.items():
            if name not in fault.without:
                self.send_header(name, value)
        self.end_headers()

    def _send_body(self, answer: Answer, fault: Fault) -> None:
        if fault.breaks and not self._has_body():
            self.wfile.write(answer.read()[: fault.after])
        elif fault.corrupt:
            self.wfile.write(answer.read().translate(_INVERTED))
        elif answer.file:
            with answer.file.open("rb") as file:
                self.connection.sendfile(file, answer.start, answer.size or None)
        else:
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        """Ends the connection at once, with a reset rather than a farewell."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        os.close(self.connection.detach())
