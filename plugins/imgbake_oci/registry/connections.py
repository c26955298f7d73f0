"""Connections to hosts, kept alive and shared: a pool for each host, with a limit of its own."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable

from imgbake_oci.registry.addresses import Origin
from imgbake_oci.registry.patience import TICK, Check, Timeouts
from imgbake_oci.registry.proxies import Proxy, proxy_for
from imgbake_oci.registry.tls import Contexts
from imgbake_oci.registry.wire import Wire
from imgbake_tasks.patient import Patience, connect_patiently, secured


class Connection(http.client.HTTPConnection):
    """A connection through a Wire: plain or TLS, direct or by a proxy.

    `used` says that it has carried a request before, so that its peer may have closed it meanwhile.
    """

    wire: Wire

    def __init__(
        self, origin: Origin, context: ssl.SSLContext | None, proxy: Proxy | None, timeouts: Timeouts
    ) -> None:
        host, port = origin.address
        at = (proxy.host, proxy.port) if proxy else (host, port)
        super().__init__(*at, timeout=timeouts.connect)
        self.used = False
        self.is_forwarded = proxy is not None and context is None
        self.proxy_headers = proxy.headers if proxy and self.is_forwarded else {}
        if proxy and context:
            self.set_tunnel(host, port, headers=proxy.headers)
        self._server = host
        self._context = context
        self.timeouts = timeouts

    def open(self, check: Check) -> None:
        """Connects, and shakes hands. Raises OSError, and what `check` raises when the build stops."""
        patience = Patience(self.timeouts.stall, check, self.timeouts.connect)
        connect_patiently(self, patience)
        self.connect()
        if self._context:
            self.sock = secured(self.sock, self._context, self._server, patience)
        self.sock = self.wire = Wire(self.sock, self.timeouts.stall)


class Pool:
    """The connections to one origin, at most `limit` at a time. Safe from threads."""

    def __init__(self, open_one: Callable[[], Connection], limit: int) -> None:
        self._open_one = open_one
        self._free = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self.worked = False  # was there ever an answer?

    def take(self, check: Check) -> Connection:
        """A connection for one request, kept from an earlier one if there is such; not yet connected if
        it is new. Waits for a free one; `check` may end the wait."""
        while not self._free.acquire(timeout=TICK):
            check()
        try:
            return self._kept() or self._open_one()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Takes a connection back after its request."""
        if reusable:
            connection.used = True
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
        self._free.release()

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _kept(self) -> Connection | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if connection.wire.is_idle():
                    return connection
                connection.close()
        return None


class Pools:
    """The pools of all origins."""

    def __init__(self, contexts: Contexts, timeouts: Timeouts, limit: int) -> None:
        self._contexts = contexts
        self._timeouts = timeouts
        self._limit = limit
        self._lock = threading.Lock()
        self._pools: dict[Origin, Pool] = {}

    def pool(self, origin: Origin) -> Pool:
        """The pool of this origin."""
        with self._lock:
            if origin not in self._pools:
                self._pools[origin] = Pool(lambda: self._open_one(origin), self._limit)
            return self._pools[origin]

    def close(self) -> None:
        """Closes every connection that nobody uses."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()

    def _open_one(self, origin: Origin) -> Connection:
        context = self._contexts.context(origin.host) if origin.scheme == "https" else None
        proxy = proxy_for(origin.scheme, *origin.address)
        return Connection(origin, context, proxy, self._timeouts)
