"""Connections for HTTP: to the host or through the proxy that the environment names, patient, in TLS."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, unquote

from imgbake.api import StepError
from imgbake_tasks import address, trust
from imgbake_tasks.patient import Patience, Patient, connect_patiently, secured

_PORTS = {"http": 80, "https": 443}


class Connection(http.client.HTTPConnection):
    """A connection that waits patiently, in TLS with a context, and that ends for sure.

    http.client forgets its socket as soon as it knows that the server will close; we own it longer.
    """

    def __init__(
        self,
        url: SplitResult,
        proxy: SplitResult | None,
        patience: Patience,
        context: ssl.SSLContext | None,
        name: str = "",
    ) -> None:
        """`name` is what the server's certificate calls it, if that is not what the url does."""
        self._server, port = url.hostname or "", url.port or _PORTS[url.scheme]
        first = (proxy.hostname or "", proxy.port or 80) if proxy else (self._server, port)
        super().__init__(*first, timeout=patience.connect)
        connect_patiently(self, patience)
        if proxy and context:
            self.set_tunnel(self._server, port, headers=basic(proxy, "Proxy-Authorization"))
        self.proxy = None if context else proxy  # one that must be told the whole url of each request
        self._patience = patience
        self._context, self._name = context, name or self._server
        self._owned: socket.socket | None = None

    def connect(self) -> None:
        """Connects, and shakes hands. Raises OSError."""
        super().connect()
        self._owned = self.sock
        if self._context:
            self._owned = secured(self.sock, self._context, self._name, self._patience)
        self.sock = Patient(self._owned, self._patience)

    def end(self) -> None:
        """Closes the socket itself; a thread that waits for more of it wakes up."""
        if self._owned is not None:
            with contextlib.suppress(OSError):  # the other side has closed it
                self._owned.shutdown(socket.SHUT_RDWR)
            self._owned.close()


def made(url: SplitResult, patience: Patience, ca: Path | None) -> Connection:
    """A connection, still to be opened, to the url's host or to the proxy for it. Raises StepError."""
    context = trust.context(ca) if url.scheme == "https" else None
    return Connection(url, _proxy(url), patience, context)


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
