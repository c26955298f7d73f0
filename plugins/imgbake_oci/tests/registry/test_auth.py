from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake.api import BakeError, digest
from imgbake.testing.registry import Access, Registry
from imgbake_oci import media_types, reference
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, Credentials

PASSWORD = "s3cret-pässword:with-colon"
WRONG = "gehe1m"
ACCOUNTS = {"me": PASSWORD}
Make = Callable[..., Client]


@pytest.fixture(params=["basic", "bearer"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Registry]:
    with Registry(access=Access(request.param, ACCOUNTS, anonymous_pull=False)) as registry:
        registry.add_image("shop:1", [b"layer"])
        yield registry


@pytest.fixture
def bearer() -> Iterator[Registry]:
    with Registry(access=Access("bearer", ACCOUNTS)) as registry:
        registry.add_image("shop:1", [b"layer"])
        yield registry


def login(folder: Path, registry: Registry, password: str = PASSWORD, **other: str) -> Credentials:
    entry = other or {"username": "me", "password": password}
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {registry.host: entry}}))
    return Credentials((file,))


def shop(registry: Registry) -> Reference:
    return reference.parse(registry.name("shop:1"))


def test_credentials_open_a_registry(guarded: Registry, make_client: Make, tmp_path: Path) -> None:
    client = make_client(credentials=login(tmp_path, guarded))
    found = client.resolve(shop(guarded))
    data = client.manifest(shop(guarded))[1]
    assert client.push_manifest(shop(guarded), media_types.MANIFEST, data, tag="2") == found.digest


def test_credentials_are_not_sent_until_asked_for(make_client: Make, tmp_path: Path) -> None:
    with Registry() as registry:
        registry.add_image("shop:1")
        make_client(credentials=login(tmp_path, registry)).resolve(shop(registry))
        assert not any("authorization" in seen.headers for seen in registry.requests)


def test_without_credentials_the_way_in_is_named(guarded: Registry, make_client: Make) -> None:
    with pytest.raises(BakeError) as error:
        make_client().manifest(shop(guarded))
    assert error.value.render() == (
        f"{guarded.host}: unauthorized to pull shop: authentication required\n"
        f"  hint: check the name, or log in with `docker login {guarded.host}`"
    )


def test_a_wrong_password_is_an_error_without_the_password(
    guarded: Registry, make_client: Make, tmp_path: Path
) -> None:
    client = make_client(credentials=login(tmp_path, guarded, password=WRONG))
    with pytest.raises(BakeError, match="unauthorized") as error:
        client.manifest(shop(guarded))
    assert f"user 'me' from {tmp_path}/config.json may not" in error.value.hint
    assert WRONG not in error.value.render() + "".join(traceback.format_exception(error.value))


def test_an_account_that_may_not_push_is_told(make_client: Make, tmp_path: Path) -> None:
    with Registry() as registry:
        registry.fault(method="POST", status=403, code="DENIED")
        (tmp_path / "layer").touch()
        with pytest.raises(BakeError, match="not allowed to push shop: a fault on demand"):
            make_client().push_blob(shop(registry), "sha256:" + "0" * 64, tmp_path / "layer")


def test_anonymous_tokens_suffice_to_pull(bearer: Registry, make_client: Make, tmp_path: Path) -> None:
    client = make_client()
    data = client.manifest(shop(bearer))[1]
    with pytest.raises(BakeError, match="unauthorized to push shop"):
        client.push_manifest(shop(bearer), media_types.MANIFEST, data, tag="2")


def test_a_token_is_kept_for_its_scope(bearer: Registry, make_client: Make) -> None:
    bearer.add_image("other:1")
    client = make_client()
    for _ in range(3):
        client.resolve(shop(bearer))
        client.resolve(reference.parse(bearer.name("other:1")))
    assert bearer.count("GET", "/token.*shop") == 1
    assert bearer.count("GET", "/token.*other") == 1
    assert bearer.count("HEAD", "/manifests/") == 7  # one was refused


def test_a_refused_token_is_renewed_once(bearer: Registry, make_client: Make) -> None:
    client = make_client()
    client.resolve(shop(bearer))
    bearer.access.expire_tokens()
    client.resolve(shop(bearer))
    assert bearer.count("GET", "/token") == 2
    bearer.fault(path="/manifests/", status=401, times=100)
    with pytest.raises(BakeError, match="unauthorized"):
        client.manifest(shop(bearer))


def test_a_token_is_renewed_before_it_ends(make_client: Make) -> None:
    with Registry(access=Access("bearer", ACCOUNTS, lifetime=0)) as registry:
        registry.add_image("shop:1")
        registry.access.lifetime = 60
        client = make_client()
        client.resolve(shop(registry))
        registry.fault(path="/token", headers={})
        client.resolve(shop(registry))
        assert registry.count("GET", "/token") == 1


def test_threads_share_a_token(bearer: Registry, make_client: Make) -> None:
    client = make_client()
    client.resolve(shop(bearer))
    bearer.access.expire_tokens()
    bearer.forget()
    threads = [threading.Thread(target=client.resolve, args=(shop(bearer),)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bearer.count("GET", "/token") == 1


def test_an_identity_token_gets_tokens(make_client: Make, tmp_path: Path) -> None:
    with Registry(access=Access("bearer", ACCOUNTS, anonymous_pull=False)) as registry:
        registry.add_image("shop:1")
        token = registry.access.identity_token("me")
        auth = {"auth": "", "identitytoken": token}
        client = make_client(credentials=login(tmp_path, registry, **auth))
        client.resolve(shop(registry))
        assert registry.count("POST", "/token") == 1
        refused = make_client(credentials=login(tmp_path, registry, auth="", identitytoken="old"))
        with pytest.raises(BakeError, match="no token for shop") as error:
            refused.resolve(shop(registry))
        assert "the identity token from" in error.value.hint


def test_a_token_server_may_fail_for_a_moment(bearer: Registry, make_client: Make) -> None:
    bearer.fault(path="/token", status=503, times=2)
    make_client().resolve(shop(bearer))
    bearer.access.expire_tokens()
    bearer.fault(path="/token", corrupt=True)
    with pytest.raises(BakeError, match="answered no token"):
        make_client().resolve(shop(bearer))


def test_a_mount_asks_for_both_repositories(bearer: Registry, make_client: Make, tmp_path: Path) -> None:
    layer = bearer.add_blob("base", b"layer of base")
    (tmp_path / "layer").write_bytes(b"layer of base")
    client = make_client(credentials=login(tmp_path, bearer))
    assert client.push_blob(shop(bearer), layer, tmp_path / "layer", mount_from="base") == "mounted"
    assert bearer.count("GET", "/token.*base%3Apull") == 1


def test_a_password_never_goes_to_a_plain_server(bearer: Registry, make_client: Make, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://tokens.example.com/token",service="x"'}
    bearer.fault(status=401, headers=challenge, times=2)
    client = make_client(credentials=login(tmp_path, bearer))
    with pytest.raises(BakeError, match=r"wants the password sent to http://tokens\.example\.com/token"):
        client.resolve(shop(bearer))


def test_an_upload_may_be_refused_on_its_way(bearer: Registry, make_client: Make, tmp_path: Path) -> None:
    data = b"layer" * 1_000_000
    (tmp_path / "layer").write_bytes(data)
    challenge = {"WWW-Authenticate": f'Bearer realm="{bearer.url}/token",service="x"'}
    bearer.fault(method="PUT", status=401, headers=challenge)
    client = make_client(credentials=login(tmp_path, bearer))
    assert client.push_blob(shop(bearer), digest.of_bytes(data), tmp_path / "layer") == "uploaded"
    assert bearer.blob(digest.of_bytes(data)) == data


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", 'Bearer realm=""', "Bearer realm=nonsense"])
def test_a_challenge_that_nobody_can_meet_is_a_refusal(
    registry: Registry, client: Client, challenge: str
) -> None:
    registry.fault(status=401, headers={"WWW-Authenticate": challenge}, times=100)
    with pytest.raises(BakeError):
        client.manifest(shop(registry))
