"""One HTTP request and its answer, over a pool's connection. Failures that may pass raise Transient."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError
from imgbake_oci.registry.addresses import Origin, origin
from imgbake_oci.registry.connections import Connection, Pool, Pools
from imgbake_oci.registry.failures import RegistryError, shown
from imgbake_oci.registry.patience import Transient, Watch
from imgbake_oci.registry.wire import FilePart

_ALWAYS = {"User-Agent": "imgbake", "Accept-Encoding": "identity"}
_PIECE = 1 << 16  # bytes that are read of an answer at once

Body = bytes | FilePart | None


class Unreachable(RegistryError):
    """No connection could be made."""


class Request(msgspec.Struct, frozen=True):
    """What is asked.

    `url` is one that `addresses.follow` made; `commits` says that the answer may take its time.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: Body = None
    commits: bool = False

    @property
    def origin(self) -> Origin:
        """Where it goes."""
        return origin(self.url)

    @property
    def target(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def __repr__(self) -> str:
        return f"Request({self.method} {shown(self.url)})"


class _Stale(Exception):
    """A kept connection had been closed by its server."""


class Response:
    """An answer whose body has yet to be read. Close it: its connection is kept if the body was read."""

    def __init__(self, request: Request, raw: http.client.HTTPResponse, pool: Pool, connection: Connection):
        self.request = request
        self.status = raw.status
        self.headers = raw.headers
        self._raw = raw
        self._pool = pool
        self._connection: Connection | None = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def length(self) -> int | None:
        """The length of the body, by its header."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isdecimal() else None

    def read(self, limit: int) -> bytes:
        """The whole body. Raises Transient when it breaks off, RegistryError beyond `limit` bytes."""
        data, piece = bytearray(), memoryview(bytearray(min(limit, _PIECE) + 1))
        while count := self.readinto(piece):
            data += piece[:count]
            if len(data) > limit:
                raise RegistryError(f"{shown(self.request.url)}: an answer of more than {limit} bytes")
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:
        """Reads the next bytes; 0 at the end of the body. Raises Transient when it breaks off before."""
        try:
            count = self._raw.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise Transient(_broken(self.request, error)) from error
        if not count and self._raw.length:
            raise Transient(_broken(self.request, f"the answer ended {self._raw.length} bytes too early"))
        return count

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection:
            connection, self._connection = self._connection, None
            if self._raw.length == 0:
                self._raw.read()
            is_read = self._raw.isclosed() and not self._raw.will_close
            self._raw.close()
            self._pool.give_back(connection, reusable=is_read)


class Transport:
    """Sends requests. Safe from threads."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def send(self, request: Request, watch: Watch) -> Response:
        """The answer to a request, whatever its status.

        The watch hears of a file that is sent. Raises Transient for what may pass, Unreachable when
        no connection can be made, and what the watch raises.
        """
        pool = self._pools.pool(request.origin)
        while True:
            connection = pool.take(watch.check)
            try:
                raw = _exchange(connection, request, pool, watch)
            except _Stale:
                pool.give_back(connection, reusable=False)
            except BaseException:
                pool.give_back(connection, reusable=False)
                raise
            else:
                pool.worked = True
                return Response(request, raw, pool, connection)


def _exchange(connection: Connection, request: Request, pool: Pool, watch: Watch) -> http.client.HTTPResponse:
    if connection.sock is None:
        watch.check()
        _connect(connection, request, pool, watch)
    wire, timeouts = connection.wire, connection.timeouts
    wire.check, wire.stall = watch.check, timeouts.stall
    try:
        _send(connection, request, watch)
        wire.stall = timeouts.commit if request.commits else timeouts.stall
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        # A file that went half its way is for the caller to take up; the rest is simply sent again.
        if connection.used and isinstance(error, ConnectionError) and not isinstance(request.body, FilePart):
            raise _Stale from error
        raise Transient(_broken(request, error)) from error


def _connect(connection: Connection, request: Request, pool: Pool, watch: Watch) -> None:
    """Connects. What fails is final for a host that never answered, unless it broke off."""
    try:
        connection.open(watch.check)
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:  # bad names, ports
        unreachable = _unreachable(request.origin, error)
        if pool.worked or isinstance(error, ConnectionResetError):
            raise Transient(unreachable) from error
        raise unreachable from error


def _send(connection: Connection, request: Request, watch: Watch) -> None:
    target = request.url if connection.is_forwarded else request.target
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": request.origin.host, **_ALWAYS, **request.headers, **connection.proxy_headers}
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(_size(request.body))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    # A server that refuses early may close before it has read the body: its answer is there to read.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _send_body(connection, request.body, watch)


def _send_body(connection: Connection, body: Body, watch: Watch) -> None:
    if isinstance(body, FilePart):
        done = 0

        def sent(count: int) -> None:
            nonlocal done
            done += count
            watch.progress(done, body.size)

        connection.wire.send_file(body, sent)
    elif body:
        connection.wire.sendall(body)


def _size(body: Body) -> int:
    return body.size if isinstance(body, FilePart) else len(body or b"")


def _unreachable(origin: Origin, error: Exception) -> BakeError:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = (
            f"put the authority that signed it into /etc/docker/certs.d/{origin.host}/ca.crt, "
            "or name its file in SSL_CERT_FILE"
        )
        why = f"its certificate is not trusted: {error.verify_message}"
        return Unreachable(f"{origin.host}: {why}", hint=hint)
    if isinstance(error, ssl.SSLError):
        hint = f"for a registry without TLS, set IMGBAKE_INSECURE_REGISTRIES={origin.host}"
        return Unreachable(f"{origin.host}: TLS failed: {error.reason or error}", hint=hint)
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{origin.host}: no such host: {error.strerror}", hint="check the name")
    why = "no answer" if isinstance(error, TimeoutError) else _words(error)
    return Unreachable(f"{origin.host}: could not connect: {why}", hint="check the name, port and network")


def _broken(request: Request, error: Exception | str) -> RegistryError:
    return RegistryError(f"{request.method} {shown(request.url)}: {_words(error)}")


def _words(error: Exception | str) -> str:
    """What went wrong, without the system's number for it."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
