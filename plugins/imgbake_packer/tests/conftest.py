"""A cloud and a machine on this computer: moto's server, and an sshd on a throw-away copy of the system."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from imgbake_packer import presence
from imgbake_packer.tests.clouds import PUBLIC, Baked, Cloud
from imgbake_packer.tests.machines import Machine, running

_ENTRY_POINTS = "[imgbake]\npacker = imgbake_packer\ntemplate = imgbake_packer\n"
_MOTO = """
import functools, sys
from moto.ec2.models.amis import Ami
from moto.server import main

made = Ami.__init__

@functools.wraps(made)
def as_ec2_says(self, *args, **more):
    made(self, *args, **more)
    if more.get("instance") is not None or more.get("source_ami") is not None:
        self.root_device_type = "ebs"  # moto says "standard", which Packer starts no machine from

Ami.__init__ = as_ec2_says
main(sys.argv[1:])
"""


@pytest.fixture(scope="session", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Makes the plugin known where imgbake is installed without it."""
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "imgbake_packer-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: imgbake-packer\nVersion: 0\n")
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


@pytest.fixture(autouse=True)
def nothing_answered() -> None:
    """Tests make and remove AMIs behind the plugin's back."""
    presence.forget()


@pytest.fixture(scope="session")
def packer() -> str:
    """The program; the test is skipped where it is not installed, or fails if it is required."""
    found = shutil.which("packer")
    if found is None:
        _missing("packer is not installed")
    return found


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's server."""
    pytest.importorskip("boto3")
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        _missing("moto's server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    public = tmp_path_factory.mktemp("moto") / "amis.json"
    public.write_text(json.dumps(PUBLIC))
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MOTO_AMIS_PATH": str(public)},
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def cloud(moto: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An empty account, which the environment leads to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    made = Cloud(moto)
    made.reset()
    return made


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud, packer: str) -> Baked:
    """A project with one image that Packer bakes in the cloud."""
    return Baked(tmp_path / "project", cloud)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that can be reached by SSH as root: a copy of this system that nothing outlives."""
    for program in ("sshd", "ssh-keygen", "unshare", "scp"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            _missing(f"{program} is not installed")
    if os.geteuid():
        _missing("only root can make a copy of the system")
    with running(tmp_path_factory.mktemp("machine")) as machine:
        if machine is None:
            _missing("no copy of the system can be made here")
        yield machine


def _missing(what: str) -> NoReturn:
    if os.environ.get("IMGBAKE_REQUIRE_SERVICES"):
        pytest.fail(what)
    pytest.skip(what)
