"""Connections for HTTP: to the host or through the proxy that the environment names, patient, in TLS."""

from __future__ import annotations

import base64
import functools
import http.client
import socket
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, unquote

from imgbake.api import StepError
from imgbake_tasks import address, trust
from imgbake_tasks.patient import Patience, Patient, connect

_PORTS = {"http": 80, "https": 443}


class _Owned:
    """What both kinds of connection do differently from http.client's: wait patiently, and end for sure.

    http.client forgets its socket as soon as it knows that the server will close; we own it longer.
    """

    patience: Patience
    owned: socket.socket | None = None
    proxy: SplitResult | None = None  # one that must be told the whole url of each request

    def patient(self, sock: socket.socket | Patient) -> Patient:
        """The socket of a new connection, made patient."""
        assert isinstance(sock, socket.socket)
        self.owned = sock
        return Patient(sock, self.patience)

    def end(self) -> None:
        """Closes the socket itself."""
        if self.owned is not None:
            self.owned.close()


class _Plain(_Owned, http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = self.patient(self.sock)


class _Secure(_Owned, http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = self.patient(self.sock)


Connection = _Plain | _Secure


def made(url: SplitResult, patience: Patience, ca: Path | None) -> Connection:
    """A connection, still to be opened, to the url's host or to the proxy for it. Raises StepError."""
    name, port, proxy = url.hostname or "", url.port or _PORTS[url.scheme], _proxy(url)
    first = (proxy.hostname or "", proxy.port or 80) if proxy else (name, port)
    connection: Connection
    if url.scheme == "https":
        connection = _Secure(*first, timeout=patience.connect, context=trust.context(ca))
        if proxy:
            connection.set_tunnel(name, port, headers=basic(proxy, "Proxy-Authorization"))
    else:
        connection = _Plain(*first, timeout=patience.connect)
        connection.proxy = proxy
    connection.patience = patience
    # http.client's own seam, which has no name in its stubs. Without it only the wait is less patient.
    connection._create_connection = functools.partial(_dial, patience)  # type: ignore[union-attr]
    return connection


def host(url: SplitResult) -> str:
    """Host and port as the Host header has them."""
    name = (url.hostname or "").encode("idna").decode()
    name = f"[{name}]" if ":" in name else name
    return f"{name}:{url.port}" if url.port else name


def basic(url: SplitResult, header: str) -> dict[str, str]:
    """The header for the user and password of a url (RFC 7617), if it has them."""
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {header: "Basic " + base64.b64encode(pair.encode()).decode()}


def _dial(patience: Patience, address: tuple[str, int], *_: object) -> socket.socket:
    return connect(address, patience)


def _proxy(url: SplitResult) -> SplitResult | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for this url."""
    named = urllib.request.getproxies().get(url.scheme, "")
    if not named or urllib.request.proxy_bypass(url.hostname or ""):
        return None
    proxy = address.split(named if "://" in named else f"http://{named}", f"{url.scheme}_proxy")
    if proxy.scheme != "http":
        raise StepError(
            f"{url.scheme}_proxy names a proxy of kind {proxy.scheme!r}",
            hint="only http:// proxies are spoken to",
        )
    return proxy
