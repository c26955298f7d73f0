"""The docker engine of this machine, and projects whose images it bakes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.testing import busybox
from imgbake_docker.tests.projects import OnEngine

_ENTRY_POINTS = "[imgbake]\ndocker = imgbake_docker\n"


@pytest.fixture(scope="session", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes the plugin known where imgbake is installed without it."""
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "imgbake_docker-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: imgbake-docker\nVersion: 0\n")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    before = os.environ.get("PYTHONPATH")
    sys.path.append(str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [before, str(folder)]))
    yield
    sys.path.remove(str(folder))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def engine() -> Iterator[object]:
    """A client of the engine; the test is skipped where there is none, or fails if one is required."""
    docker = pytest.importorskip("docker")
    try:
        client = docker.APIClient(version="auto", timeout=60, **docker.utils.kwargs_from_env())
    except docker.errors.DockerException as error:
        missing = f"no docker engine: {error}"
        if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
            pytest.fail(missing)
        pytest.skip(missing)
    with contextlib.closing(client):
        yield client


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with busybox."""
    try:
        return busybox.bake(tmp_path_factory.mktemp("busybox"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def project(tmp_path: Path, base: Path, engine: object) -> Iterator[OnEngine]:
    """A project with one image that the engine bakes, and everything of it removed afterwards."""
    made = OnEngine(tmp_path, base, engine)
    yield made
    made.clear()
