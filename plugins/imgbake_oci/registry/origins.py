"""By which scheme a registry is reached: HTTPS, or plain HTTP where that is allowed.

Plain HTTP is for the loopback address, which nobody else can listen to, and for registries named in
IMGBAKE_INSECURE_REGISTRIES. The latter are asked by HTTPS first. On the loopback address HTTP is asked
first: a plain server can wait forever for the rest of a TLS greeting, while a TLS server refuses a
plain request at once.
"""

from __future__ import annotations

from imgbake.api import Turns
from imgbake_oci.registry.addresses import Origin
from imgbake_oci.registry.patience import Transient, Watch
from imgbake_oci.registry.proxies import is_loopback
from imgbake_oci.registry.transport import Request, Transport, Unreachable

_PING_LIMIT = 1 << 16


class Origins:
    """The origin of each registry, found out once. Safe from threads."""

    def __init__(self, transport: Transport, insecure: frozenset[str]) -> None:
        self._transport = transport
        self._insecure = insecure
        self._turns = Turns()
        self._known: dict[str, Origin] = {}

    def origin(self, host: str, watch: Watch) -> Origin:
        """The origin of the API at this host[:port]. Raises Unreachable or Transient."""
        if not self.allows(Origin("http", host)):
            return Origin("https", host)
        with self._turns.alone(host, watch.check):  # who is slow to answer keeps nobody from other hosts
            if host not in self._known:
                self._known[host] = self._find(host, watch)
            return self._known[host]

    def allows(self, origin: Origin) -> bool:
        """May requests, and secrets, go there?"""
        if origin.scheme == "https":
            return True
        return origin.host in self._insecure or is_loopback(origin.address[0])

    def _find(self, host: str, watch: Watch) -> Origin:
        secure, plain = Origin("https", host), Origin("http", host)
        if host in self._insecure:
            return secure if self._answers(secure, watch) else plain
        return plain if self._answers(plain, watch) else secure

    def _answers(self, origin: Origin, watch: Watch) -> bool:
        """Is there a server that speaks this scheme?

        A TLS server resets a plain request or calls it bad, and at once: one that is silent got what it
        expects, and is only slow.
        """
        try:
            with self._transport.send(Request("GET", f"{origin}/v2/"), watch) as response:
                response.read(_PING_LIMIT)
                location = response.headers.get("Location", "")
                return response.status != 400 and not location.startswith(f"https://{origin.host}/")
        except Transient as failure:
            return origin.scheme == "http" and isinstance(failure.__cause__, TimeoutError)
        except Unreachable:
            return False


def insecure(origin: Origin) -> str:
    """What a user can do who wants requests to go there nevertheless."""
    return f"if that is meant, set IMGBAKE_INSECURE_REGISTRIES={origin.host}"
