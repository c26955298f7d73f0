"""An engine behind ssh: a real sshd on the loopback, with keys of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from imgbake_docker.tests.conftest import _missing
from imgbake_docker.tests.projects import OnEngine, outcome

TABLES = """
    [components.app]
    files = [{ from = "a.txt", to = "/srv/" }]
    build = "echo built > /built"
    validate = "grep a /srv/a.txt"
    test = "grep built /built"
    network = "none"
"""
_SSHD = "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def behind_ssh(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """An environment in which the engine is one behind ssh."""
    for program in (_SSHD, "ssh", "ssh-keygen", "docker"):
        if shutil.which(program) is None:
            _missing(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = _free_port()
    engine_host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
        f"PermitRootLogin yes\nMaxStartups 100\nSetEnv DOCKER_HOST={engine_host} PATH={os.environ['PATH']}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen([_SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield {"DOCKER_HOST": f"ssh://127.0.0.1:{port}", "PATH": f"{_ssh(folder)}:{os.environ['PATH']}"}
    finally:
        daemon.terminate()
        daemon.wait()


def _ssh(folder: Path) -> Path:
    """A folder with an `ssh` that has settings of its own, for the real one has those of the account."""
    (folder / "config").write_text(
        f"Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
        "  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
    )
    program = folder / "bin/ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    program.chmod(0o755)
    return program.parent


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    _missing("sshd does not start")


def test_an_image_is_baked_tested_and_entered_over_ssh(
    project: OnEngine, behind_ssh: Mapping[str, str]
) -> None:
    project.write("a.txt", "a\n")
    assert outcome(project.bake(TABLES, env=behind_ssh)) == "ran"
    assert outcome(project.build(env=behind_ssh)) == "cached"
    project.clear()
    assert outcome(project.build(env=behind_ssh)) == "ran"
    words = ("shell", "app@docker", "--", "sh", "-c", "cat; cat /built; exit 7")
    argv = [sys.executable, "-m", "imgbake", *words]
    inside = subprocess.run(
        argv,
        cwd=project.root,
        env={**os.environ, **behind_ssh},
        input="typed\n",
        capture_output=True,
        text=True,
    )
    assert (inside.returncode, inside.stdout) == (7, "typed\nbuilt\n"), inside.stderr


def test_a_task_runs_in_a_container_over_ssh(
    project: OnEngine, builder: str, behind_ssh: Mapping[str, str]
) -> None:
    if builder != "classic":
        pytest.skip("no builder has a part in it")
    project.write("a.txt", "a\n")
    project.bake(TABLES)
    project.recipe(f"""
        [tasks.x]
        uses = "container"
        image = "{project.name}:1"
        run = "cat a.txt /built > out.txt"
        network = "none"
        outputs = ["out.txt"]
    """)
    assert project.make(env=behind_ssh).outcomes() == {"task:x": "ran"}
    assert project.read("out.txt") == "a\nbuilt\n"


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("ssh://127.0.0.1:1", "connect to host 127.0.0.1 port 1: Connection refused"),
        ("/nowhere/socket", "dial unix /nowhere/socket"),
    ],
)
def test_why_ssh_does_not_get_there_is_told(
    project: OnEngine, behind_ssh: Mapping[str, str], host: str, said: str
) -> None:
    project.write("a.txt", "a\n")
    there = behind_ssh["DOCKER_HOST"] + host if host.startswith("/") else host
    text = project.fail(TABLES, env={**behind_ssh, "DOCKER_HOST": there}).stderr
    assert f"the docker engine at {there} can't be reached" in text and said in text
    assert "`ssh HOST docker version` must work there" in text
