from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from imgbake.api import BakeError
from imgbake.testing.registry import Registry
from imgbake_oci import reference
from imgbake_oci.registry import Client, Tls
from imgbake_oci.registry.proxies import Proxy, proxy_for


@pytest.mark.parametrize(
    ("listed", "host", "is_direct"),
    [
        ("", "registry.tld", False),
        ("*", "registry.tld", True),
        ("registry.tld", "registry.tld", True),
        ("registry.tld", "a.registry.tld", True),
        (".registry.tld", "a.registry.tld", True),
        ("*.registry.tld", "a.registry.tld", True),
        ("registry.tld", "otherregistry.tld", False),
        ("registry.tld:443", "registry.tld", True),
        ("registry.tld:80", "registry.tld", False),
        ("other.tld, Registry.TLD", "registry.tld", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::/8", "fd00::1", True),
        ("nonsense/8", "10.1.2.3", False),
        ("10.0.0.0/8", "registry.tld", False),
    ],
)
def test_no_proxy(listed: str, host: str, is_direct: bool) -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": listed}
    assert (proxy_for("https", host, 443, environ) is None) is is_direct


def test_a_proxy_is_read() -> None:
    secret = {"https_proxy": "http://me:p%40ss@proxy:3128", "HTTPS_PROXY": "http://other"}
    headers = {"Proxy-Authorization": "Basic bWU6cEBzcw=="}
    assert proxy_for("https", "registry.tld", 443, secret) == Proxy("proxy", 3128, headers)
    assert proxy_for("http", "registry.tld", 443, secret) is None
    assert proxy_for("http", "registry.tld", 80, {"HTTP_PROXY": "proxy"}) == Proxy("proxy", 80, {})
    assert proxy_for("https", "127.0.0.1", 443, secret) is None
    with pytest.raises(BakeError, match="HTTPS_PROXY does not name a proxy") as error:
        proxy_for("https", "registry.tld", 443, {"HTTPS_PROXY": "socks5://me:geheim@proxy"})
    assert "geheim" not in error.value.render()


class _Forward(BaseHTTPRequestHandler):
    """A proxy that sends everything to one address."""

    to: ClassVar[str]
    seen: ClassVar[list[str]]

    def do_CONNECT(self) -> None:
        self.seen.append(f"CONNECT {self.path} {self.headers.get('Proxy-Authorization')}")
        host, port = self.to.split(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(other, self.connection))
            back.start()
            _pump(self.connection, other)
            back.join()

    def do_GET(self) -> None:
        self.seen.append(f"{self.command} {self.path} {self.headers.get('Proxy-Authorization')}")
        connection = http.client.HTTPConnection(self.to)
        connection.request(self.command, urlsplit(self.path).path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        self.send_response(response.status)
        for name, value in response.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


def _pump(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Registry], list[str]]]:
    """Lets every host be reached by a proxy that knows one registry; returns what the proxy sees."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forward)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://me:pw@127.0.0.1:{server.server_port}")

    def proxy(registry: Registry) -> list[str]:
        _Forward.to, _Forward.seen = registry.host, []
        return _Forward.seen

    yield proxy
    server.shutdown()
    thread.join()
    server.server_close()


def test_https_goes_through_a_tunnel(
    proxied: Callable[[Registry], list[str]], make_client: Callable[..., Client]
) -> None:
    with Registry(tls=True) as registry:
        shop = registry.add_image("shop:1")
        seen = proxied(registry)
        client = make_client(tls=Tls(insecure=frozenset({"registry.test"})))
        assert client.resolve(reference.parse("registry.test/shop:1")).digest == shop
        assert seen == ["CONNECT registry.test:443 Basic bWU6cHc="]
        client.close()


def test_plain_http_is_forwarded(
    proxied: Callable[[Registry], list[str]],
    make_client: Callable[..., Client],
    registry: Registry,
) -> None:
    shop = registry.add_image("shop:1")
    seen = proxied(registry)
    client = make_client(tls=Tls(insecure=frozenset({"registry.test:5000"})))
    assert client.resolve(reference.parse("registry.test:5000/shop:1")).digest == shop
    assert seen[-1] == "HEAD http://registry.test:5000/v2/shop/manifests/1 Basic bWU6cHc="
    client.close()
