"""The docker engine of this machine, and projects whose images it bakes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from imgbake.api import BakeError
from imgbake.testing import busybox
from imgbake_docker import choosing
from imgbake_docker.engine import connected
from imgbake_docker.tests.projects import OnEngine, Put


@pytest.fixture(scope="session")
def engine() -> Iterator[object]:
    """A client of the engine; the test is skipped where there is none, or fails if one is required."""
    docker = pytest.importorskip("docker")
    with contextlib.ExitStack() as opened:
        try:
            client = opened.enter_context(connected())
        except BakeError as error:
            _missing(str(error))
        before = _bases(client)
        yield client
        for name in _bases(client) - before:
            with contextlib.suppress(docker.errors.APIError):
                client.remove_image(name)


def _bases(client: Any) -> set[str]:
    """The names that bases from files have on the engine."""
    names = {name for each in client.images() for name in each["RepoTags"] or ()}
    return {name for name in names if name.startswith("imgbake-base:")}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with busybox."""
    try:
        return busybox.bake(tmp_path_factory.mktemp("busybox"))
    except FileNotFoundError as error:
        _missing(str(error))


@pytest.fixture(params=["classic", "buildkit"])
def builder(request: pytest.FixtureRequest, engine: object) -> str:
    """Each builder that is installed. The engine's own always is."""
    if request.param == "buildkit" and not choosing.buildx():
        _missing("docker's buildx plugin is not installed")
    return str(request.param)


@pytest.fixture
def project(tmp_path: Path, base: Path, engine: object, builder: str) -> Iterator[OnEngine]:
    """A project with one image that the engine bakes, and everything of it removed afterwards."""
    made = OnEngine(tmp_path, base, engine, f'builder = "{builder}"')
    yield made
    made.clear()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Put]:
    """Puts a layout into a registry on this machine, and returns its reference there."""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            _missing(f"{program} is not installed")
    with _registry(tmp_path_factory.mktemp("registry")) as host:

        def put(layout: Path, repository: str, tag: str) -> str:
            reference = f"{host}/{repository}:{tag}"
            source, target = f"oci:{layout}:latest", f"docker://{reference}"
            subprocess.run(
                ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, target], check=True
            )
            return reference

        yield put


@contextlib.contextmanager
def _registry(folder: Path) -> Iterator[str]:
    """Debian's registry, on a free port of the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def over_tcp(engine: Any) -> Iterator[str]:
    """The address of the engine on a port of the loopback."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if "://" in path:
        yield os.environ["DOCKER_HOST"]
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, path), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def _serve(server: socket.socket, path: str) -> None:
    with contextlib.suppress(OSError):  # until it is closed
        while True:
            outer, _ = server.accept()
            threading.Thread(target=_connect, args=(outer, path), daemon=True).start()


def _connect(outer: socket.socket, path: str) -> None:
    with outer, socket.socket(socket.AF_UNIX) as inner:
        inner.connect(path)
        back = threading.Thread(target=_move, args=(inner, outer), daemon=True)
        back.start()
        _move(outer, inner)
        back.join()


def _move(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _missing(what: str) -> NoReturn:
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)
