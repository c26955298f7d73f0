"""Requests to the API server, one connection for each; what it refuses becomes an error."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from imgbake.api import BakeError
from imgbake_kaniko.cluster.kubeconfig import Access
from imgbake_tasks import http_connection
from imgbake_tasks.patient import Patience

_SECONDS = 30  # to answer, or between pieces of an answer
_LAST_SECONDS = 5  # the same for what is done after a stop


class Unreachable(BakeError):
    """The API server does not answer."""


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

    `check` raises when the step must stop, and is asked all the time while something is waited for.
    """

    def __init__(
        self, access: Access, check: Callable[[], None] = lambda: None, seconds: float = _SECONDS
    ) -> None:
        """`seconds` is how long the server may take to answer."""
        self._access = access
        self._patience = Patience(seconds, check, seconds)
        self._parts = urlsplit(access.server)
        self._tls = _tls(access) if self._parts.scheme == "https" else None

    def steadfast(self) -> Connection:
        """The same for what must be done although the step stops, without much patience."""
        return Connection(self._access, seconds=_LAST_SECONDS)

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
        *,
        may_be_silent: bool = False,
    ) -> tuple[http_connection.Connection, http.client.HTTPResponse]:
        """Sends a request, and returns the connection, which the caller ends, and the answer.

        Raises Unreachable when the server does not answer, and Refused when it says no. The status 101 is
        none of its refusals. One that `may_be_silent` has all the time there is.
        """
        patience, name = self._patience, self._access.server_name
        patience = patience.endless if may_be_silent else patience
        connection = http_connection.Connection(self._parts, None, patience, self._tls, name)
        try:
            connection.connect()
            sent = {"User-Agent": "imgbake", **(headers or {})}
            if self._access.authorization:
                sent["Authorization"] = self._access.authorization
            connection.request(method, self._parts.path + path, body, sent)
            response = connection.getresponse()
            if response.status >= 400:
                raise self._refused(response)
        except (OSError, http.client.HTTPException) as error:
            connection.end()
            raise self._unreachable(error) from None
        except BaseException:
            connection.end()
            raise
        return connection, response

    def read(self, method: str, path: str, body: bytes | None = None, content: str = "") -> bytes:
        """Sends a request and reads the whole answer. Raises BakeError as `send` does."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content or "application/json"
        connection, response = self.send(method, path, body, headers)
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.end()

    def _unreachable(self, error: BaseException) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "is the cluster up, and is it the one that KUBECONFIG or `kube_context` means?"
        return Unreachable(f"the cluster at {self.server} does not answer: {reason}", hint=hint)

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
