"""A cloud and a machine on this computer: moto's server, and an sshd on a throw-away copy of the system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_aws.tests.clouds import Cloud
from imgbake_aws.tests.fixtures import cloud as cloud
from imgbake_aws.tests.fixtures import missing
from imgbake_aws.tests.fixtures import moto as moto
from imgbake_aws.tests.fixtures import profiles as profiles
from imgbake_packer.tests.machines import Machine, running
from imgbake_packer.tests.projects import Baked


@pytest.fixture(scope="session")
def packer() -> str:
    """The program; the test is skipped where it is not installed, or fails if it is required."""
    found = shutil.which("packer")
    if found is None:
        missing("packer is not installed")
    return found


@pytest.fixture
def newer_packer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Packer whose builders are plugins comes first on PATH, with the plugin for Amazon."""
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        if (folder / "newer-packer" / "packer").exists():
            monkeypatch.setenv("PATH", f"{folder / 'newer-packer'}{os.pathsep}{os.environ['PATH']}")
            monkeypatch.setenv("PACKER_PLUGIN_PATH", str(folder / "newer-packer" / "plugins"))
            return
    missing("no newer Packer is there: tests/services/build-tools builds it")


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud, packer: str) -> Baked:
    """A project with one image that Packer bakes in the cloud."""
    return Baked(tmp_path / "project", cloud)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that can be reached by SSH as root: a copy of this system that nothing outlives."""
    for program in ("sshd", "ssh-keygen", "unshare", "scp"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            missing(f"{program} is not installed")
    if os.geteuid():
        missing("only root can make a copy of the system")
    with running(tmp_path_factory.mktemp("machine")) as machine:
        if machine is None:
            missing("no copy of the system can be made here")
        yield machine
