"""How an engine at a socket is talked to: every form that its answers have, and none at all."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import StepError
from imgbake_docker import posting
from imgbake_docker.local import Local, Refused, Silent

IMAGE = {"Id": "sha256:1", "RepoTags": ["a:1"]}
LOST = f'unable to find image "sha256:{"0" * 64}"'


class Handler(BaseHTTPRequestHandler):
    """Gives the answers of its server, one after the other: a status, and lines, each sent as a chunk."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is sent at once
    server: Engine

    def do_GET(self) -> None:
        self.server.heard.append((f"{self.command} {self.path}", self._body()))
        status, lines = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        if self.close_connection:  # as an engine says, too
            self.send_header("Connection", "close")
        self.end_headers()
        for line in (*lines, ""):
            data = line.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def do_POST(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        found = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return found

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Engine(socketserver.ThreadingUnixStreamServer):
    """What it is to answer, and what it was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.answers: list[tuple[int, tuple[str, ...]]] = []
        self.heard: list[tuple[str, bytes]] = []


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "socket") as served:
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.shutdown()


@pytest.fixture
def local(engine: Engine) -> Local:
    return Local(str(engine.server_address))


def test_an_image_is_what_the_engine_says_of_it(engine: Engine, local: Local) -> None:
    text = json.dumps(IMAGE)
    engine.answers = [(200, (text[:7], text[7:])), (404, ('{"message": "No such image"}',))]
    assert local.image("host:5000/a:1") == IMAGE
    assert local.image("a@sha256:1") is None
    assert [asked for asked, _ in engine.heard] == [
        "GET /images/host%3A5000/a%3A1/json",
        "GET /images/a%40sha256%3A1/json",
    ]


@pytest.mark.parametrize(
    ("said", "why"), [('{"message": "it is in use"}', "it is in use"), ("no JSON", "status 409")]
)
def test_a_refusal_tells_why(engine: Engine, local: Local, said: str, why: str) -> None:
    engine.answers = [(409, (said,))]
    with pytest.raises(Refused, match=why):
        local.tag("sha256:1", "a", "1")


def test_lines_come_whole_however_they_are_sent(engine: Engine, local: Local) -> None:
    engine.answers = [(200, ('{"a": 1}\r\n{"b"', ": 2}\r\n"))]
    with local.working() as exchange:
        exchange.ask("POST", "/build?x=1", [b"one", b"", b"two"])
        assert [line.strip() for line in exchange.lines()] == [b'{"a": 1}', b'{"b": 2}', b""]
    assert engine.heard == [("POST /build?x=1", b"onetwo")]


def test_an_engine_that_is_not_there_or_goes_away_is_silent(engine: Engine, local: Local) -> None:
    with pytest.raises(Silent):
        Local(f"{engine.server_address!s}.not").knock()
    engine.answers = []  # its thread dies of it, and hangs up
    engine.handle_error = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(Silent):
        local.image("a")


class Client:
    """As the plugin has it of an engine at a socket."""

    def __init__(self, local: Local) -> None:
        self.local = local


class Ctx:
    """All that a build needs of a context."""

    def check(self) -> None:
        """There is no reason to stop."""


class Told:
    def __init__(self) -> None:
        self.image = ""

    def hear(self, message: dict[str, Any]) -> None:
        if "error" in message:
            raise StepError(message["error"])
        self.image = message["aux"]["ID"]


def _built(local: Local) -> str:
    context = lambda: iter([b"tar"])  # noqa: E731
    return posting.build(Client(local), {"t": "a"}, context, Told, Ctx())  # type: ignore[arg-type]  # enough of a context


def test_a_build_beside_which_an_image_is_removed_is_asked_for_again(engine: Engine, local: Local) -> None:
    lost = (200, (json.dumps({"error": LOST}),))
    engine.answers = [lost, lost, (200, ('{"aux": {"ID": "sha256:2"}}',))]
    assert _built(local) == "sha256:2"
    assert engine.heard == [("POST /build?t=a", b"tar")] * 3


def test_a_build_that_never_finds_its_image_fails(engine: Engine, local: Local) -> None:
    engine.answers = [(200, (json.dumps({"error": LOST}),))] * 9
    with pytest.raises(StepError, match="unable to find"):
        _built(local)
    assert len(engine.heard) < 9


def test_a_connection_that_was_hung_up_is_not_used_again(engine: Engine) -> None:
    docker = pytest.importorskip("docker")
    with contextlib.closing(docker.APIClient(f"unix://{engine.server_address!s}", version="1.41")) as client:
        client.local = None  # as for an engine elsewhere
        engine.answers = [(200, ("{}\n", "{}\n"))] * 2
        post = posting.Post(client, {"t": "a"}, [b"tar"])
        post.send(lambda message: post.cancel())
        heard: list[dict[str, Any]] = []
        posting.Post(client, {"t": "a"}, [b"tar"]).send(heard.append)
        assert heard == [{}, {}]
