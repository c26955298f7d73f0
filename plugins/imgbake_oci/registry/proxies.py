"""Proxies from the environment, as Go programs and curl read them.

HTTPS_PROXY and HTTP_PROXY (or in lower case, which wins) name a proxy; NO_PROXY lists what is reached
directly: host names with or without a leading dot (their subdomains too), addresses, networks such as
10.0.0.0/8, any of them with a port, or `*`. The loopback address is always reached directly.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from imgbake.api import BakeError


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy, and the headers that it wants."""

    host: str
    port: int
    headers: dict[str, str]


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for connections to this host, None for a direct one. Raises BakeError for a bad one."""
    name = f"{scheme}_proxy"
    text = environ.get(name) or environ.get(name.upper(), "")
    if not text or is_loopback(host) or _is_direct(host, port, environ):
        return None
    url = urlsplit(text if "://" in text else f"http://{text}")
    if url.scheme != "http" or not url.hostname:
        raise BakeError(f"{name.upper()} does not name a proxy", hint="write http://HOST:PORT")
    return Proxy(url.hostname, url.port or 80, _authorization(url))


def is_loopback(host: str) -> bool:
    """Does this host name this very machine, by its loopback address?"""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_direct(host: str, port: int, environ: Mapping[str, str]) -> bool:
    listed = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    return any(_covers(item.strip(), host, port) for item in listed.split(",") if item.strip())


def _covers(item: str, host: str, port: int) -> bool:
    if item == "*":
        return True
    address = _address(host)
    if address and "/" in item:
        try:
            return address in ipaddress.ip_network(item, strict=False)
        except ValueError:
            return False
    name, colon, wanted = item.rpartition(":")
    if colon and wanted.isdecimal() and _address(item) is None:
        if int(wanted) != port:
            return False
        item = name
    if address:
        return _address(item.strip("[]")) == address
    domain = item.lower().lstrip("*").lstrip(".")
    return host.lower() == domain or host.lower().endswith(f".{domain}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _authorization(url: SplitResult) -> dict[str, str]:
    if url.username is None:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
