from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import BakeError
from imgbake_oci import reference
from imgbake_oci.registry import credentials
from imgbake_oci.registry.credentials import Credential, Credentials, Found


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def find(path: Path, image: str) -> Found:
    return Credentials((path,)).find(reference.parse(image))


def user(path: Path, image: str) -> str:
    found = find(path, image)
    return found.credential.username if found.credential else ""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper by the name of "test", which answers with what is in the file that this returns."""
    program, says = tmp_path / "bin/docker-credential-test", tmp_path / "says"
    write(program, f'#!/bin/sh\nread server\necho "$1 $server" >> {tmp_path}/asked\n. {says}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return says


@pytest.mark.parametrize(
    "key",
    [
        "registry.example.com",
        "https://registry.example.com",
        "https://registry.example.com/",
        "https://registry.example.com/v1/",
        "http://registry.example.com/v2/",
    ],
)
def test_a_registry_is_found_however_its_key_is_spelt(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "config.json", {"auths": {key: auth("me", "p:w")}})
    found = find(path, "registry.example.com/shop").credential
    assert found == Credential("me", "p:w", source=str(path))
    assert find(path, "other.example.com/shop") == Found()


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"])
def test_docker_hub_goes_by_several_names(tmp_path: Path, key: str) -> None:
    assert user(write(tmp_path / "config.json", {"auths": {key: auth("me", "pw")}}), "nginx") == "me"


def test_the_most_exact_key_wins(tmp_path: Path) -> None:
    auths = {
        "host.tld": auth("all", "p"),
        "host.tld/team": auth("team", "p"),
        "host.tld/team/x": auth("x", "p"),
    }
    path = write(tmp_path / "auth.json", {"auths": auths})
    images = ["host.tld/other", "host.tld/team/shop", "host.tld/team/x", "host.tld/teams/x"]
    assert [user(path, image) for image in images] == ["all", "team", "x", "all"]


def test_all_forms_of_an_entry_are_read(tmp_path: Path) -> None:
    auths = {
        "a.tld": {"username": "me", "password": "pw"},
        "b.tld": {"auth": "", "identitytoken": "token"},
        "c.tld": {},
        "d.tld": None,
        "e.tld": {"auth": None},
    }
    path = write(tmp_path / "config.json", {"auths": auths, "credHelpers": None, "HttpHeaders": {"x": "y"}})
    assert find(path, "a.tld/x").credential == Credential("me", "pw", source=str(path))
    assert find(path, "b.tld/x").credential == Credential(identity_token="token", source=str(path))
    assert [find(path, f"{name}.tld/x") for name in "cde"] == [Found()] * 3


def test_a_credential_never_shows_its_secrets() -> None:
    shown = repr(Found(Credential("me", "geheim", "token", "file")))
    assert "me" in shown and "geheim" not in shown and "token" not in shown


def test_files_are_looked_at_in_order(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    places = [
        (tmp_path / "home/.config/containers/auth.json", {}),
        (tmp_path / "run/containers/auth.json", {}),
        (tmp_path / "home/.docker/config.json", {}),
        (tmp_path / "docker/config.json", {"DOCKER_CONFIG": str(tmp_path / "docker")}),
        (tmp_path / "named.json", {"REGISTRY_AUTH_FILE": str(tmp_path / "named.json")}),
    ]
    image = reference.parse("host.tld/x")
    for path, more in places:
        environ |= more
        write(path, {"auths": {"host.tld": auth("me", "pw")}})
        found = credentials.from_environment(environ).find(image).credential
        assert found and found.source == str(path)


def test_a_helper_is_asked_for_its_registry(helper: Path, tmp_path: Path) -> None:
    config = {"credHelpers": {"host.tld": "test", "docker.io": "test"}, "auths": {"b.tld": auth("b", "p")}}
    path = write(tmp_path / "config.json", config)
    write(helper, """echo '{"ServerURL":"x","Username":"me","Secret":"pw"}'""")
    known = Credentials((path,))
    found = [known.find(reference.parse(f"host.tld/{name}")).credential for name in ("x", "x", "y")]
    assert found == [Credential("me", "pw", source="docker-credential-test")] * 3
    assert user(path, "nginx") == "me" and user(path, "b.tld/x") == "b"
    assert (tmp_path / "asked").read_text().splitlines() == [
        "get host.tld",
        "get https://index.docker.io/v1/",
    ]


def test_the_helper_for_all_registries_may_give_an_identity_token(helper: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"credsStore": "test", "auths": {"host.tld": {}}})
    write(helper, """echo '{"Username":"<token>","Secret":"long"}'""")
    assert find(path, "host.tld/x").credential == Credential(
        identity_token="long", source="docker-credential-test"
    )


@pytest.mark.parametrize(
    ("says", "remark"),
    [
        ("echo credentials not found in native keychain; exit 1", ""),
        ("echo the session has expired; exit 1", "docker-credential-test failed: the session has expired"),
        ("echo nonsense", "docker-credential-test did not answer in JSON"),
    ],
)
def test_what_a_helper_fails_at_is_remembered(helper: Path, tmp_path: Path, says: str, remark: str) -> None:
    path = write(tmp_path / "config.json", {"credsStore": "test"})
    write(helper, says)
    assert find(path, "host.tld/x") == Found(None, remark)


def test_a_helper_that_is_not_installed_is_no_error_yet(tmp_path: Path) -> None:
    path = write(tmp_path / "config.json", {"credsStore": "nowhere"})
    assert "docker-credential-nowhere" in find(path, "host.tld/x").remark


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a file of credentials"),
        ('{"auths": {"host.tld": {"auth": 5}}}', "not a file of credentials"),
        ('{"auths": {"host.tld": {"auth": "geheim!"}}}', "the entry of host.tld is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = write(tmp_path / "config.json", content)
    with pytest.raises(BakeError, match=said) as error:
        find(path, "host.tld/x")
    assert str(path) in error.value.message and "geheim" not in error.value.render()
