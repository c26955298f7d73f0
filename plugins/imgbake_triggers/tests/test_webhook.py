"""The trigger `webhook`: what a receiver gets, and what it may answer."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from imgbake.testing.project import Project, Ran

SECRET = "open-sesame"
RECIPE = """
[args]
token = {{ secret = true, env = "TOKEN" }}

[streams.base.tags.latest]
from = "oci:base"

[images.base]
base = "scratch"
labels = {{ v = "{version}" }}

[triggers.tell]
on = "base:latest"
uses = "webhook"
url = "{url}"
secret = "{{{{ token }}}}"
headers = {{ X-Team = "shop" }}
"""


class Receiver:
    """A server that keeps what it is told, and answers as it is set to."""

    def __init__(self) -> None:
        self.status = 204
        self.told: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.told.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def _moved(project: Project, receiver: Receiver, version: str = "1") -> tuple[str, Ran]:
    """Lets the tag point to another image, and says to which."""
    project.recipe(RECIPE.format(url=receiver.url, version=version))
    environ = {"TOKEN": SECRET}
    assert project.run("build", env=environ).code == 0
    assert project.run("export", "base", "-o", f"base-{version}", env=environ).code == 0
    base = project.root / "base"
    base.unlink(missing_ok=True)
    base.symlink_to(f"base-{version}")
    ran = project.run("stream", "sync", "--force", env=environ)
    described = project.run("stream", "image", "base:latest", "--format", "json", env=environ)
    return str(described.json["image"]), ran


def test_the_receiver_is_told_what_has_moved_and_who_says_so(project: Project, receiver: Receiver) -> None:
    image, ran = _moved(project, receiver)
    assert ran.code == 0 and f"sent to {receiver.url}: 204" in ran.stderr
    ((headers, body),) = receiver.told
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={signature}"
    assert (headers["x-team"], headers["content-type"]) == ("shop", "application/json")
    assert json.loads(body) == {
        "trigger": "tell",
        "project": "project",
        "stream": "base",
        "tag": "latest",
        "image": image,
        "reference": f"oci:base@{image}",
        "kind": "container",
        "before": "",
    }


def test_each_image_is_told_once_with_the_one_before(project: Project, receiver: Receiver) -> None:
    first, _ = _moved(project, receiver)
    project.run("stream", "sync", "--force", env={"TOKEN": SECRET})
    second, _ = _moved(project, receiver, "2")
    told = [json.loads(body) for _, body in receiver.told]
    assert [(each["image"], each["before"]) for each in told] == [(first, ""), (second, first)]


def test_what_is_refused_is_a_failure_that_says_why(project: Project, receiver: Receiver) -> None:
    receiver.status = 500
    _, ran = _moved(project, receiver)
    assert ran.code == 1
    assert "trigger tell: base:latest points to" in ran.stderr and "500" in ran.stderr
    assert SECRET not in ran.stderr


def test_an_address_of_another_kind_is_a_fault_of_the_recipe(project: Project, receiver: Receiver) -> None:
    project.recipe(RECIPE.format(url="ftp://host.example/", version="1"))
    ran = project.run("check")
    assert ran.code == 2 and "`url` is http://HOST/PATH or https://HOST/PATH" in ran.stderr
