"""Where requests go. What a registry says of that (redirects, realms, upload places) is checked here."""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from imgbake_oci.registry.failures import RegistryError, clean

_PORTS = {"http": 80, "https": 443}
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_AS_IT_IS = "%/:=&?~#+!$,;'@()*[]"


class Origin(msgspec.Struct, frozen=True):
    """One end of connections: how, and with whom. `host` is written as in URLs, with a port if any."""

    scheme: str
    host: str

    @property
    def address(self) -> tuple[str, int]:
        """The host without brackets, and the port."""
        name, colon, port = self.host.rpartition(":")
        if not colon or self.host.endswith("]"):
            name, port = self.host, str(_PORTS[self.scheme])
        return name.strip("[]"), int(port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"


def origin(url: str) -> Origin:
    """The origin of a URL that `follow` made."""
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.netloc)


def follow(base: str, location: str) -> str:
    """The URL that a location means, seen from another one.

    Raises RegistryError when it is not an HTTP URL with a host that can be asked.
    """
    try:
        url = quote(urljoin(base, location.strip()), safe=_AS_IT_IS)
        parts = urlsplit(url)
        is_fit = parts.scheme in _PORTS and bool(parts.hostname) and "@" not in parts.netloc
        if is_fit and parts.port != 0:
            return url
    except ValueError:  # a bad port, or brackets that do not match
        pass
    host = urlsplit(base).netloc
    raise RegistryError(f"{host}: sends us to '{clean(location.partition('?')[0])}', which is no address")


def next_page(base: str, link: str) -> str:
    """Where a list goes on, by the header Link of an answer; empty when it ends there."""
    found = _NEXT.search(link)
    return follow(base, found[1]) if found else ""


def at(url: str, home: Origin) -> str:
    """The URL, by the scheme and host of `home` if that is where it leads.

    A registry behind a proxy may not know by which scheme or port it is reached.
    """
    parts = urlsplit(url)
    if Origin(home.scheme, parts.netloc).address != home.address:
        return url
    return parts._replace(scheme=home.scheme, netloc=home.host).geturl()
