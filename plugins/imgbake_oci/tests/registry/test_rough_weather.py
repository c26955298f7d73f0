"""Connections that break anywhere, and servers that are no registries."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.api import BakeError, Interrupted, digest
from imgbake.testing.registry import Registry
from imgbake_oci import media_types, reference
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.registry import Client, RegistryError, Retries, Timeouts, Tls, Watch
from imgbake_oci.registry.addresses import follow

BYTES = random.Random(3).randbytes(4_000_000)
LAYER = Descriptor(media_types.LAYER, digest.of_bytes(BYTES), len(BYTES))


class Cable:
    """A TCP connection to a server that is cut after a number of bytes; each time after another one."""

    def __init__(self, to: str, seed: int) -> None:
        self._to = to
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                host, port = self._to.split(":")
                far = socket.create_connection((host, int(port)))
                budget = [self._random.randrange(2_500_000)]
                ways = ((near, far, budget), (far, near, budget))
                pair = [threading.Thread(target=self._carry, args=way) for way in ways]
                self._threads.append(threading.Thread(target=self._hold, args=(pair, near, far)))
                self._threads[-1].start()

    def _hold(self, pair: list[threading.Thread], near: socket.socket, far: socket.socket) -> None:
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        near.close()
        far.close()

    def _carry(self, source: socket.socket, to: socket.socket, budget: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                budget[0] -= len(data)
                if budget[0] < 0:
                    self.cuts += 1
                    break
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def patient(make_client: Callable[..., Client]) -> Client:
    retries = Retries(attempts=12, first=0.01, longest=0.02)
    return make_client(retries=retries, timeouts=Timeouts(connect=2, stall=5))


@pytest.mark.parametrize("seed", range(6))
def test_transfers_survive_cut_connections(
    registry: Registry, patient: Client, tmp_path: Path, seed: int
) -> None:
    cable = Cable(registry.host, seed)
    try:
        shop = reference.parse(f"{cable.host}/shop:1")
        (tmp_path / "layer").write_bytes(BYTES)
        assert patient.push_blob(shop, LAYER.digest, tmp_path / "layer") in ("uploaded", "there")
        assert registry.blob(LAYER.digest) == BYTES
        patient.blob(shop, LAYER, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == BYTES
        assert cable.cuts
    finally:
        patient.close()
        cable.close()


@pytest.mark.parametrize("how", ["truncate", "reset", "stall"])
def test_broken_tls_connections_are_taken_up(
    make_client: Callable[..., Client], tmp_path: Path, how: str
) -> None:
    with Registry(tls=True) as registry:
        registry.add_image("shop:1", [BYTES])
        client = make_client(tls=Tls(ca=registry.ca), timeouts=Timeouts(stall=0.5, commit=0.5))
        fault = {"after": 1_000_000, how: 5 if how == "stall" else True}
        registry.fault(path="/blobs/", **fault)
        client.blob(reference.parse(registry.name("shop:1")), LAYER, tmp_path / "layer")
        assert (tmp_path / "layer").read_bytes() == BYTES
        registry.fault(method="PUT", path="/uploads/", **fault)
        other = reference.parse(registry.name("other"))
        assert client.push_blob(other, LAYER.digest, tmp_path / "layer") == "uploaded"
        client.close()


def test_a_stopped_build_ends_a_stalled_tls_upload(
    make_client: Callable[..., Client], tmp_path: Path
) -> None:
    with Registry(tls=True) as registry:
        client = make_client(tls=Tls(ca=registry.ca), timeouts=Timeouts(stall=60))
        (tmp_path / "layer").write_bytes(BYTES * 4)
        registry.fault(method="PUT", stall=30, after=100_000)
        sent: list[int] = []

        def check() -> None:
            if sent and not sent[-1] % 7:
                sent.append(7)
                raise Interrupted

        def progress(done: int, total: int) -> None:
            sent.append(7 if done > 200_000 else 1)

        with pytest.raises(Interrupted):
            client.push_blob(
                reference.parse(registry.name("shop")),
                digest.of_bytes(BYTES * 4),
                tmp_path / "layer",
                Watch(check, progress),
            )
        client.close()


def test_a_stopped_build_ends_a_look_up_that_hangs(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        answered.wait(60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Interrupted):
        make_client().resolve(reference.parse("registry.example.com/shop:1"), Watch(_stopping(answers=2)))
    answered.set()


def test_a_stopped_build_ends_a_handshake_that_nobody_answers(make_client: Callable[..., Client]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        client = make_client(timeouts=Timeouts(connect=60), tls=Tls(insecure=frozenset({host})))
        with pytest.raises(Interrupted):
            client.resolve(reference.parse(f"{host}/shop:1"), Watch(_stopping(answers=4)))


def _stopping(answers: int) -> Callable[[], None]:
    """What lets a build go on a few times."""
    left = iter(range(answers))

    def check() -> None:
        if next(left, None) is None:
            raise Interrupted

    return check


class Babbler:
    """A server that answers every connection with the same bytes and hangs up."""

    def __init__(self) -> None:
        self.says = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(self.says)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture(scope="module")
def babbler() -> Iterator[Babbler]:
    server = Babbler()
    yield server
    server.close()


HEADERS = st.sampled_from(
    [
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 99999999999",
        "Content-Length: x",
        "Transfer-Encoding: chunked",
        "Content-Range: bytes 1-2/x",
        "Location: http://[::1",
        "Location: /v2/é",
        "Docker-Content-Digest: sha256:0",
        f"Content-Type: {media_types.MANIFEST}",
        "Content-Type: ;;;",
        'WWW-Authenticate: Bearer realm="http://127.0.0.1:1/"',
        "WWW-Authenticate: Basic",
        "Retry-After: 0",
        "Retry-After: Fri",
        ": odd",
        "no colon",
        "X: " + "y" * 70_000,
    ]
)
STATUS = st.sampled_from(
    [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 307 There",
        "HTTP/1.1 401 Who",
        "HTTP/1.0 206",
        "HTTP/9 abc",
        "",
        "HTTP/1.1 503",
    ]
)
BODY = st.sampled_from(
    ["", "{}", "[]", "null", "5\r\nhello\r\n0\r\n\r\n", "zz\r\n", '{"errors":5}', "\x00\xff"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(STATUS, st.lists(HEADERS, max_size=4), BODY)
def test_whatever_a_server_says_there_is_no_traceback(
    babbler: Babbler, tmp_path_factory: pytest.TempPathFactory, status: str, headers: list[str], body: str
) -> None:
    babbler.says = "\r\n".join([status, *headers, "", body]).encode("latin-1")
    shop = reference.parse(f"{babbler.host}/shop:1")
    to = tmp_path_factory.mktemp("blob") / "blob"
    retries = Retries(attempts=2, first=0.001, longest_asked=0)
    with Client(tls=Tls(), retries=retries, timeouts=Timeouts(connect=1, stall=1)) as client:
        with pytest.raises(BakeError):
            client.blob(shop, LAYER, to)
        for ask in (client.resolve, client.manifest):
            with contextlib.suppress(BakeError):
                ask(shop)
    assert not to.exists()


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://a:", "//", "/"]))
def test_every_location_is_an_address_or_an_error(text: str, start: str) -> None:
    try:
        url = follow("https://registry.example.com/v2/", start + text)
    except RegistryError:
        return
    assert url.isascii() and url.startswith(("http://", "https://"))
