"""Engines in other places than the usual one, and what is said when there is none."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from imgbake_docker.tests.projects import OnEngine, outcome

TABLES = """
    [components.app]
    build = "echo built"
    network = "none"
"""


def _context(folder: Path, name: str, host: str, *, current: bool) -> Mapping[str, str]:
    """An environment in which docker has a context of this name."""
    from hashlib import sha256

    meta = folder / "contexts/meta" / sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    (folder / "config.json").write_text(json.dumps({"currentContext": name} if current else {}))
    found = {"DOCKER_CONFIG": str(folder), "DOCKER_HOST": ""}
    return found if current else {**found, "DOCKER_CONTEXT": name}


def test_an_engine_can_be_on_tcp(project: OnEngine, over_tcp: str) -> None:
    assert outcome(project.bake(TABLES, env={"DOCKER_HOST": over_tcp})) == "ran"
    words = ("shell", "app@docker", "--", "sh", "-c", "echo in; exit 7")
    with project.start(*words, env={"DOCKER_HOST": over_tcp}) as inside:
        said, _ = inside.communicate(timeout=60)
    assert (inside.returncode, said) == (7, "in\n")


@pytest.mark.parametrize("current", [True, False])
def test_docker_contexts_are_honoured(
    project: OnEngine, over_tcp: str, tmp_path: Path, current: bool
) -> None:
    env = _context(tmp_path / "config", "remote", over_tcp, current=current)
    assert outcome(project.bake(TABLES, env=env)) == "ran"
    gone = dict(env, DOCKER_CONTEXT="elsewhere")
    assert "there is no docker context 'elsewhere'" in project.fail(TABLES, "", "--force", env=gone).stderr


@pytest.mark.parametrize(
    ("env", "said", "hint"),
    [
        ({"DOCKER_HOST": "nonsense"}, "at nonsense can't be reached", "DOCKER_HOST is unix:///PATH"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "tcp://127.0.0.1:1 can't be reached: Connection refused", ""),
        (
            {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1"},
            "TLS",
            "in the folder DOCKER_CERT_PATH",
        ),
        ({"DOCKER_HOST": "unix:///etc/passwd"}, "can't be reached", "is it running?"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_one_line(
    project: OnEngine, env: Mapping[str, str], said: str, hint: str
) -> None:
    lines = project.fail(TABLES, env=env).stderr.splitlines()
    assert any("the docker engine" in line and said in line for line in lines), lines
    assert any(hint in line for line in lines if "hint: " in line), lines


def test_tls_that_is_not_spoken_is_told(project: OnEngine, over_tcp: str, tmp_path: Path) -> None:
    certificates = _certificates(tmp_path)
    env = {"DOCKER_HOST": over_tcp, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    said = project.fail(TABLES, env=env).stderr
    assert "SSL" in said and "does it speak TLS?" in said


def test_a_socket_that_we_may_not_use_is_told(project: OnEngine, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may use any socket")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "door"))
        (tmp_path / "door").chmod(0)
        said = project.fail(TABLES, env={"DOCKER_HOST": f"unix://{tmp_path}/door"}).stderr
    assert "can't be reached: Permission denied" in said and "become a member of the group" in said


def _certificates(folder: Path) -> Path:
    """A folder with a certificate and its key, which sign themselves."""
    import subprocess

    certificates = folder / "certificates"
    certificates.mkdir()
    names = [str(certificates / name) for name in ("key.pem", "cert.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
         "-keyout", names[0], "-out", names[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    (certificates / "ca.pem").write_bytes((certificates / "cert.pem").read_bytes())
    return certificates
