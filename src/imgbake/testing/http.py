"""An HTTP server for tests: files with versions and ranges, answers of your own, faults on demand."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close() resets the connection


class Seen(msgspec.Struct, frozen=True):
    """A request that came. Names of headers are in lower case."""

    method: str
    target: str  # path and query
    headers: dict[str, str]
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with one request. `after` is how many bytes of the body pass before it does."""

    status: int = 0  # answer this instead
    headers: Mapping[str, str] = {}  # added to the answer
    truncate: bool = False  # close the connection within the body
    reset: bool = False  # reset the connection
    stall: float = 0  # seconds of silence
    corrupt: bool = False  # the right number of wrong bytes
    after: int = 0


class HttpServer:
    """A server on a free loopback port, for the time of a `with` block.

    With `tls` it serves HTTPS by a certificate of its own, which `ca` names.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="http-")
        self.requests: list[Seen] = []
        self.ca: Path | None = None
        self._server = _Server(self)
        self._answers: dict[str, Callable[[Seen], Answer]] = {}
        self._faults: dict[str, list[Fault]] = {}
        if tls:
            self._use_tls()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._temporary.cleanup()

    def put(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Serves these bytes at a path, with ranges; with an ETag unless `headers` says else."""
        versions = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'} if headers is None else headers
        self.answer(path, lambda seen: _file(seen, body, versions))

    def answer(self, path: str, answer: Callable[[Seen], Answer]) -> None:
        """Lets a function answer the requests for a path; one that ends in a slash is for all below it."""
        self._answers[path] = answer

    def fault(self, path: str, *, times: int = 1, **fields: Any) -> None:
        """Lets the next requests for a path go wrong; the keyword arguments are the fields of `Fault`."""
        self._faults.setdefault(path, []).extend([Fault(**fields)] * times)

    def heal(self) -> None:
        """Ends all faults."""
        self._faults.clear()

    def take_fault(self, path: str) -> Fault:
        """The fault that a request for this path meets now, used up."""
        faults = self._faults.get(path)
        return faults.pop(0) if faults else Fault()

    def respond(self, seen: Seen) -> Answer:
        """What is answered to a request, faults aside."""
        self.requests.append(seen)
        path = seen.target.partition("?")[0]
        below = [prefix for prefix in self._answers if prefix.endswith("/") and path.startswith(prefix)]
        found = self._answers.get(path) or self._answers.get(max(below, key=len, default=""))
        return found(seen) if found else Answer(404, {}, b"not found\n")

    def _use_tls(self) -> None:
        import ssl

        from imgbake.testing.registry import certificate

        self.ca, key = certificate.make(Path(self._temporary.name))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )


def _file(seen: Seen, body: bytes, versions: Mapping[str, str]) -> Answer:
    """A file, or the part of it that a range asks for (RFC 9110, 14)."""
    asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
    same = seen.headers.get("if-range") in (None, *versions.values())
    if not asked or not same:
        return Answer(200, versions, body)
    start = int(asked[1])
    if start >= len(body):
        return Answer(416, {**versions, "Content-Range": f"bytes */{len(body)}"})
    where = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return Answer(206, {**versions, "Content-Range": where}, body[start:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: HttpServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of connections that a client ended or spoilt."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers one request, whatever its method."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.owner.respond(Seen(self.command, self.path, headers, body))
        fault = self.server.owner.take_fault(self.path.partition("?")[0])
        if fault.status:
            answer = Answer(fault.status, {}, b"a fault on demand\n")
        self._send(msgspec.structs.replace(answer, headers={**answer.headers, **fault.headers}), fault)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  # names of the base class

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: the server keeps a log of its own."""

    def _send(self, answer: Answer, fault: Fault) -> None:
        if fault.reset and not fault.after:
            return self._reset()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        breaks = fault.truncate or fault.reset or fault.stall > 0
        body = bytes(byte ^ 0xFF for byte in answer.body) if fault.corrupt else answer.body
        if self.command != "HEAD":
            self.wfile.write(body[: fault.after] if breaks else body)
        self.wfile.flush()
        self.server.closing.wait(fault.stall)
        if fault.reset:
            self.server.closing.wait(0.1)  # a reset overtakes what the client has not read yet
            return self._reset()
        if breaks:
            self.close_connection = True
        return None

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close_connection = True
        self.connection.close()
