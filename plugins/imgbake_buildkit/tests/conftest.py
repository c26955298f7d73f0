"""A buildkitd of the tests' own, and projects whose images it bakes, with no docker engine in sight."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from imgbake.testing.project import Project, Ran
from imgbake_docker import choosing
from imgbake_docker.tests.conftest import _missing, base, engine, registry

__all__ = ["base", "engine", "registry"]

_NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


class OnBuildKit(Project):
    """A project that sees a BuildKit, and no engine."""

    def __init__(self, root: Path, base: Path, address: str) -> None:
        super().__init__(root)
        self.base, self.address = base, address

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        return super().run(*args, env={**_NOWHERE, **(env or {})})

    def image(self, tables: str, options: str = "") -> None:
        """Writes a recipe of these tables with the target `bk`."""
        target = f'[targets.bk]\nuses = "buildkit"\nbuilder = "{self.address}"\n{options}\n'
        self.recipe(target + tables.replace("BASE", f"oci:{self.base}"))

    def fail(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """What a build says that must fail, and not by a bug."""
        ran = self.run("build", "--progress", "plain", *args, env=env)
        assert ran.code == 1, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stderr


@pytest.fixture(scope="session")
def buildkitd() -> Iterator[str]:
    """The address of a BuildKit daemon; the test is skipped without one, or fails if it is required."""
    for program in ("buildkitd", "runc"):
        if shutil.which(program) is None:
            _missing(f"{program} is not installed")
    if not choosing.buildx():
        _missing("docker's buildx plugin is not installed")
    folder = Path(tempfile.mkdtemp(prefix="imgbake-buildkit-"))
    address = f"unix://{folder}/socket"
    argv = ["buildkitd", f"--addr={address}", f"--root={folder}/root", "--oci-worker-net=host"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*argv, "--containerd-worker=false"], stdout=log, stderr=log)
    try:
        _wait_for(folder / "socket", daemon, folder / "log")
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path, base: Path, buildkitd: str) -> OnBuildKit:
    """An empty project."""
    return OnBuildKit(tmp_path, base, buildkitd)


def _wait_for(socket: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if socket.exists():
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.1)
    _missing(f"buildkitd does not start: {log.read_text()[-2000:]}")
