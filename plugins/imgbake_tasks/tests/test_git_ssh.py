"""Repositories by ssh: a real sshd, one for each connection, behind ssh's ProxyCommand."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

import pytest

from imgbake.errors import StepError
from imgbake.testing.git import GitRepository
from imgbake_tasks.git import Git, GitOptions
from imgbake_tasks.tests.taskbench import Bench, needs, options

SSHD = Path("/usr/sbin/sshd")  # which insists on being called by its full path

pytestmark = [needs("git"), needs("ssh"), needs(str(SSHD))]

SERVER = """
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
CLIENT = """
Host shop.example
    ProxyCommand {sshd} -i -f {keys}/sshd_config
    IdentityFile {keys}/user
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {keys}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, privileges_apart: None) -> Path:
    """The folder of all keys. The server and the client know each other."""
    found = tmp_path / "keys"
    found.mkdir()
    for name in ("host", "user"):
        make_key(found / name)
    key = (found / "host.pub").read_text()
    (found / "known_hosts").write_text(f"shop.example {key}")
    (found / "sshd_config").write_text(SERVER.format(keys=found))
    (found / "ssh_config").write_text(CLIENT.format(keys=found, sshd=SSHD))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {found}/ssh_config")
    return found


@pytest.fixture
def privileges_apart() -> None:
    """The empty folder that root's sshd shuts itself into; booting makes it, and containers don't boot."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    found = GitRepository(tmp_path / "assets")
    found.commit({"a.txt": "one\n"})
    return found


def make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def by_ssh(repository: GitRepository) -> Git:
    return Git(options(GitOptions, url=f"ssh://{getpass.getuser()}@shop.example{repository.folder}"))


def test_a_key_that_the_server_knows(bench: Bench, repository: GitRepository, keys: Path) -> None:
    step = by_ssh(repository)
    artifact = bench.run(step)
    assert bench.files(".imgbake/tasks/t") == {"a.txt": "one\n"}
    assert artifact.facts["url"] == step.options.url  # with the user, who is no secret here


def test_a_host_that_nobody_knows(bench: Bench, repository: GitRepository, keys: Path) -> None:
    (keys / "known_hosts").write_text("")
    with pytest.raises(StepError, match=f"{getpass.getuser()}@shop.example") as caught:
        bench.run(by_ssh(repository))
    assert "add the host to ~/.ssh/known_hosts" in caught.value.hint


def test_a_key_that_the_server_does_not_know(bench: Bench, repository: GitRepository, keys: Path) -> None:
    make_key(keys / "other")
    (keys / "other").replace(keys / "user")
    with pytest.raises(StepError) as caught:
        bench.run(by_ssh(repository))
    assert "add the key to the agent" in caught.value.hint
