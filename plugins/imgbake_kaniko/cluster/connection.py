"""Requests to the API server, one connection for each; what it refuses becomes an error."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError
from imgbake_kaniko.cluster.kubeconfig import Access
from imgbake_tasks.patient import Patience, connect_patiently, secured

_SECONDS = 30  # to answer, or between pieces of an answer


class Refused(BakeError):
    """The API server said no. `status` is HTTP's, `reason` Kubernetes' word for it."""

    def __init__(self, message: str, status: int, reason: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


class _Details(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _Status(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""
    details: _Details | None = None


class Connection:
    """Opens connections to one API server, as one user.

    `check` raises when the step must stop, and is asked while a connection is made: before anything is sent.
    """

    def __init__(self, access: Access, check: Callable[[], None] = lambda: None) -> None:
        self._access = access
        self._patience = Patience(_SECONDS, check, _SECONDS)
        self._parts = urlsplit(access.server)
        self._tls = _tls(access) if self._parts.scheme == "https" else None

    def steadfast(self) -> Connection:
        """The same for what must be done although the step stops."""
        return Connection(self._access)

    @property
    def server(self) -> str:
        """The server's address."""
        return self._access.server

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float | None = _SECONDS,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Sends a request, and returns the connection, which the caller closes, and the answer.

        Raises BakeError when the server can't be reached, and Refused when it says no. The status 101 is
        none of its refusals.
        """
        connection = self._made()
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            sent = {"User-Agent": "imgbake", **(headers or {})}
            if self._access.authorization:
                sent["Authorization"] = self._access.authorization
            connection.request(method, self._parts.path + path, body, sent)
            response = connection.getresponse()
            if response.status >= 400:
                raise self._refused(response)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        except BaseException:
            connection.close()
            raise
        return connection, response

    def read(self, method: str, path: str, body: bytes | None = None, content: str = "") -> bytes:
        """Sends a request and reads the whole answer. Raises BakeError as `send` does."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content or "application/json"
        connection, response = self.send(method, path, body, headers)
        with contextlib.closing(connection):
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None

    def _made(self) -> http.client.HTTPConnection:
        """A connection, still to be opened."""
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port)
            connect_patiently(connection, self._patience)
            return connection
        return _Secured(host, port, self._tls, self._access.server_name or host, self._patience)

    def _unreachable(self, error: BaseException) -> BakeError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "is the cluster up, and is it the one that KUBECONFIG or `kube_context` means?"
        return BakeError(f"the cluster at {self.server} does not answer: {reason}", hint=hint)

    def _refused(self, response: http.client.HTTPResponse) -> Refused:
        try:
            said = msgspec.json.decode(response.read(), type=_Status)
        except msgspec.DecodeError:
            said = _Status(response.reason)
        message = f"the cluster refuses: {said.message or response.reason}"
        return Refused(message, response.status, said.reason, hint=_hint(response.status, said))


def _hint(status: int, said: _Status) -> str:
    if said.details is not None and said.details.kind == "namespaces":
        return f"`kubectl create namespace {said.details.name}`, or write another `namespace`"
    if "quota: " in said.message:
        return "`kubectl describe quota` shows what the namespace may use: `requests` and `limits` ask for it"
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return "who we are there is what the kubeconfig says: `kubectl auth can-i --list` shows our rights"
    return ""


def hang_up(connection: http.client.HTTPConnection) -> None:
    """Closes a connection, so that a thread which waits for more of it wakes up."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()


class _Secured(http.client.HTTPSConnection):
    """HTTPS with another name in the certificate than in the address."""

    def __init__(
        self, host: str, port: int | None, tls: ssl.SSLContext, name: str, patience: Patience
    ) -> None:
        super().__init__(host, port, context=tls)
        connect_patiently(self, patience)
        self._name, self._context, self._patience = name, tls, patience

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = secured(self.sock, self._context, self._name, self._patience)


def _tls(access: Access) -> ssl.SSLContext:
    try:
        found = ssl.create_default_context(cadata=access.authority or None)
        if not access.is_verified:
            found.check_hostname = False
            found.verify_mode = ssl.CERT_NONE
        if access.certificate:
            with _for_a_moment(access.certificate + "\n" + access.key) as path:
                found.load_cert_chain(path)
    except ssl.SSLError as error:
        raise BakeError(f"the kubeconfig's certificates for {access.server} are damaged: {error}") from None
    return found


@contextlib.contextmanager
def _for_a_moment(pem: str) -> Iterator[Path]:
    """A file that only we can read, in memory where it can be: Python takes keys from no other place."""
    memory = Path("/dev/shm")
    folder = memory if os.access(memory, os.W_OK) else None
    with tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write(pem)
        file.flush()
        yield Path(file.name)
