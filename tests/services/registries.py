"""Real registries on free ports: Debian's, and one that lists referrers by itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest

from imgbake.api import digest


class Real:
    """Debian's docker-registry on a free port."""

    def __init__(self, folder: Path, stack: ExitStack, **config: Any) -> None:
        self.host = f"127.0.0.1:{_free_port()}"
        self.folder = folder / self.host
        http = {"addr": self.host, **config.pop("http", {})}
        storage = {"filesystem": {"rootdirectory": str(self.folder)}, "delete": {"enabled": True}}
        file = folder / f"{self.host}.json"
        file.write_text(json.dumps({"version": "0.1", "storage": storage, "http": http, **config}))
        log = stack.enter_context((folder / f"{self.host}.log").open("wb"))
        environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        server = subprocess.Popen(
            [program("docker-registry"), "serve", str(file)], stdout=log, stderr=log, env=environ
        )
        stack.callback(server.wait)
        stack.callback(server.terminate)
        _wait_for(self.host, "tls" in http)

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    def tags(self, repository: str = "team/shop") -> dict[str, str]:
        """What each tag means, read from the registry's own files."""
        place = self.folder / "docker/registry/v2/repositories" / repository / "_manifests/tags"
        links = place.glob("*/current/link") if place.exists() else ()
        return {link.parts[-3]: link.read_text() for link in links}

    def blobs(self) -> dict[str, int]:
        """All that it holds, manifests included, by digest: bytes."""
        files = self.folder.glob("docker/registry/v2/blobs/sha256/*/*/data")
        return {f"sha256:{file.parent.name}": file.stat().st_size for file in files}

    def check(self, repository: str = "team/shop") -> None:
        """Every tag names a manifest that is there, and all that it names is there, right to the byte."""
        for named in self.tags(repository).values():
            manifest = json.loads(self._sound(named))
            for each in (manifest["config"], *manifest["layers"]):
                self._sound(each["digest"])

    def _sound(self, wanted: str) -> bytes:
        name = wanted.removeprefix("sha256:")
        path = self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        data = path.read_bytes()
        assert digest.of_bytes(data) == wanted
        return data


def listing_referrers(folder: Path, stack: ExitStack) -> str:
    """The host of a registry with the referrers API: the one of go-containerregistry, in memory."""
    host = f"127.0.0.1:{_free_port()}"
    log = stack.enter_context((folder / f"{host}.log").open("wb"))
    server = subprocess.Popen([program("oci-referrers"), "serve", host], stdout=log, stderr=log)
    stack.callback(server.wait)
    stack.callback(server.terminate)
    _wait_for(host, is_secure=False)
    return host


def program(name: str) -> str:
    """The path of a program; without it there is no test."""
    path = shutil.which(name)
    if path is None:
        _missing(f"{name} is not installed; `tests/services/build-tools` builds what Debian has not")
    return path


def _missing(what: str) -> NoReturn:
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(host: str, is_secure: bool) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if is_secure:
                socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), 1).close()
            else:
                urllib.request.urlopen(f"http://{host}/v2/", timeout=2).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"no registry answers at {host}")
