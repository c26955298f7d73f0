"""Image streams with the registry of the distribution project, whose tags the tests move."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.streams.document import parse
from imgbake.testing.project import Project, Ran

BASE = """
[components.base]
files = [{ from = "version.txt", to = "/etc/version" }]

[targets.oci]
uses = "oci"
tags = ["HOST/base:1"]

[images.base]
base = "scratch"
components = ["base"]
"""
SHOP = """
[streams.base.tags.stable]
from = "HOST/base:1"
every = "6h"

[components.shop]
files = [{ from = "shop.txt", to = "/shop" }]

[images.shop]
base = "stream:base:stable"
components = ["shop"]
stream = "shop:latest"

[images.upon]
base = "image:shop"
components = []

[images.apart]
base = "scratch"
components = ["shop"]

[destinations.live]
uses = "registry"
repository = "HOST/live"

[distributions.live]
images = ["shop"]
to = ["live"]
"""


class Server:
    """docker-registry, and the log of what it was asked."""

    def __init__(self, host: str, log: Path) -> None:
        self.host = host
        self._log = log

    def asked(self) -> int:
        """How many requests there were."""
        return self._log.read_text().count("response completed")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        if os.environ.get("IMGBAKE_REQUIRE_SERVICES") == "1":
            pytest.fail("docker-registry is not installed")
        pytest.skip("docker-registry is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
        f"http: {{addr: '{host}'}}\n"
    )
    log = tmp_path / "registry.log"
    with log.open("wb") as file:
        process = subprocess.Popen([program, "serve", str(config)], stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://{host}/v2/")
        yield Server(host, log)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str) -> None:
    last = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            if time.monotonic() > last:
                raise
            time.sleep(0.05)


def good(ran: Ran) -> Ran:
    assert ran.code == 0, f"{ran.code}\n{ran.stdout}\n{ran.stderr}"
    return ran


def test_a_new_base_is_imported_what_stands_on_it_rebuilt_and_a_rollback_puts_the_old_one_back(
    tmp_path: Path, server: Server
) -> None:
    bases, shop = Project(tmp_path / "bases"), Project(tmp_path / "shop")
    for project, recipe in ((bases, BASE), (shop, SHOP)):
        project.root.mkdir()
        project.recipe(recipe.replace("HOST", server.host))
    shop.write("shop.txt", "shop")

    bases.write("version.txt", "one")
    bases.build("--push")
    assert "base:stable points to sha256:" in good(shop.run("stream", "sync")).stdout
    good(shop.run("build", "--progress", "quiet"))
    good(shop.run("distribute", "--progress", "quiet"))
    first = _current(shop, "shop:latest")
    assert first[1].startswith(f"{server.host}/live")

    bases.write("version.txt", "two")
    bases.build("--push")
    assert set(shop.build().outcomes().values()) == {"cached"}
    assert good(shop.run("stream", "sync")).stdout == "nothing is to be imported\n"
    good(shop.run("stream", "sync", "--force"))
    ran = {node for node, outcome in shop.build().outcomes().items() if outcome == "ran"}
    assert ran == {"image:shop@oci", "image:upon@oci"}
    good(shop.run("distribute", "--progress", "quiet"))
    second = _current(shop, "shop:latest")
    assert second[0] != first[0]

    before = server.asked()
    good(shop.run("stream", "rollback", "base:stable", "--reason", "two is broken"))
    assert server.asked() == before
    good(shop.run("build", "--progress", "quiet"))
    assert _current(shop, "shop:latest")[0] == first[0]
    assert good(shop.run("stream", "sync", "--force")).stdout == "nothing is to be imported\n"


def _current(project: Project, tag: str) -> tuple[str, str]:
    name, _, tag = tag.partition(":")
    current = parse((project.root / f".imgbake/streams/{name}.json").read_bytes(), name).tags[tag].current
    assert current is not None
    return current.image, current.reference
