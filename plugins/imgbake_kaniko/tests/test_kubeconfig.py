"""Where the cluster is, as a kubeconfig says it."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import BakeError, Interrupted
from imgbake_kaniko.cluster import kubeconfig
from imgbake_kaniko.cluster.client import Client
from imgbake_kaniko.cluster.connection import Connection


def config(user: dict[str, Any], cluster: dict[str, Any] | None = None, name: str = "dev") -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}}],
        "clusters": [
            {"name": f"c-{name}", "cluster": {"server": f"https://{name}:6443/", **(cluster or {})}}
        ],
        "users": [{"name": f"u-{name}", "user": user}],
    }


def write(folder: Path, document: object, name: str = "config") -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def test_tokens_certificates_and_passwords_are_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("from a file\n")
    encoded = base64.b64encode(b"PEM").decode()
    for user, expected in (
        ({"token": "t"}, ("", "", "Bearer t")),
        ({"tokenFile": "token"}, ("", "", "Bearer from a file")),
        ({"username": "me", "password": "p"}, ("", "", "Basic bWU6cA==")),
        ({"client-certificate-data": encoded, "client-key-data": encoded}, ("PEM", "PEM", "")),
    ):
        path = write(tmp_path, config(user, {"certificate-authority": "ca.pem"}))
        found = kubeconfig.access(environ={"KUBECONFIG": path})
        assert (found.server, found.authority) == ("https://dev:6443", "CA")
        assert (found.certificate, found.key, found.authorization) == expected
        assert "t" not in repr(found).removeprefix("Access('https://dev:6443')")


def test_files_are_merged_and_a_context_can_be_named(tmp_path: Path) -> None:
    one = write(tmp_path, config({"token": "1"}), "one")
    two = write(tmp_path, config({"token": "2"}, name="prod"), "two")
    environ = {"KUBECONFIG": f"{tmp_path / 'missing'}:{one}:{two}"}
    assert kubeconfig.access(environ=environ).authorization == "Bearer 1"
    assert kubeconfig.access("prod", environ).server == "https://prod:6443"
    with pytest.raises(BakeError, match="no context 'stage'") as caught:
        kubeconfig.access("stage", environ)
    assert caught.value.hint == "known here: dev, prod"


def test_yaml_is_read(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (tmp_path / "config").write_text(yaml.safe_dump(config({"token": "1"})))
    found = kubeconfig.access(environ={"KUBECONFIG": str(tmp_path / "config")})
    assert found.authorization == "Bearer 1"


def test_a_credential_plugin_is_asked(tmp_path: Path) -> None:
    said = {"kind": "ExecCredential", "status": {"token": "fresh"}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f'#!/bin/sh\n[ "$A" = b ] && [ "$1" = get ] && echo \'{json.dumps(said)}\'\n')
    plugin.chmod(0o755)
    asked = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./plugin",
        "args": ["get"],
        "env": [{"name": "A", "value": "b"}],
    }
    path = write(tmp_path, config({"exec": asked}))
    assert kubeconfig.access(environ={"KUBECONFIG": path}).authorization == "Bearer fresh"
    path = write(tmp_path, config({"exec": {**asked, "args": ["nothing"]}}))
    with pytest.raises(BakeError, match="gave no credentials"):
        kubeconfig.access(environ={"KUBECONFIG": path})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no kubeconfig"),
        ('{"clusters": 1}', "is no kubeconfig"),
        ("{}", "no current context"),
        (json.dumps(config({}, {"server": ""})), "no server"),
        (json.dumps(config({}, {"certificate-authority-data": "?"})), "not base64"),
        (json.dumps(config({"token": "a"}, {"certificate-authority": "gone.pem"})), "can't be read"),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(BakeError, match=message):
        kubeconfig.access(environ={"KUBECONFIG": str(tmp_path / "config")})


def test_without_a_kubeconfig_there_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(BakeError, match="no Kubernetes cluster is known here") as caught:
        kubeconfig.access(environ={"HOME": str(tmp_path)})
    assert "KUBECONFIG" in caught.value.hint


def test_a_cluster_that_does_not_answer_is_an_error_for_users() -> None:
    client = Client(Connection(kubeconfig.Access("http://127.0.0.1:9")), "default")
    with pytest.raises(BakeError, match=r"the cluster at http://127.0.0.1:9 does not answer: .*refused"):
        client.find("Job", "a")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cluster_that_keeps_silent_does_not_hold_up_the_end(scheme: str) -> None:
    def check() -> None:
        raise Interrupted

    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        host, port = silent.getsockname()
        waiting = [socket.socket() for _ in range(3)] if scheme == "http" else []
        for each in waiting:  # then nobody else is let in
            each.setblocking(False)
            each.connect_ex((host, port))
        client = Client(Connection(kubeconfig.Access(f"{scheme}://{host}:{port}"), check), "default")
        with pytest.raises(Interrupted):
            client.find("Job", "a")
        for each in waiting:
            each.close()


@pytest.mark.parametrize("began", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_cluster_that_takes_a_request_and_gives_no_answer_does_not_hold_up_the_end(began: bytes) -> None:
    taken = threading.Event()

    def check() -> None:
        if taken.is_set():
            raise Interrupted

    def take() -> None:
        with silent.accept()[0] as connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(began)
            taken.set()
            connection.recv(1)  # until the other end is gone

    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=take, daemon=True).start()
        access = kubeconfig.Access(f"http://127.0.0.1:{silent.getsockname()[1]}")
        client = Client(Connection(access, check), "default")
        with pytest.raises(Interrupted):
            client.find("Job", "a")
