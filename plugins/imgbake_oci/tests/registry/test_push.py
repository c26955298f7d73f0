from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake.api import BakeError, digest
from imgbake.testing.registry import Access, Registry
from imgbake_oci import media_types, reference
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, Credentials, RegistryError, Tls, Watch, push

At = Callable[[str], Reference]
BYTES = random.Random(2).randbytes(3_000_000)
DIGEST = digest.of_bytes(BYTES)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer"
    path.write_bytes(BYTES)
    return path


def methods(registry: Registry) -> list[str]:
    """What was asked for blobs, in order."""
    return [seen.method for seen in registry.requests if "/blobs/" in seen.target]


def test_a_blob_is_uploaded_once(registry: Registry, client: Client, at: At, layer: Path) -> None:
    heard: list[tuple[int, int]] = []
    watch = Watch(progress=lambda *now: heard.append(now))
    assert client.push_blob(at("shop"), DIGEST, layer, watch) == "uploaded"
    assert registry.blob(DIGEST) == BYTES
    assert methods(registry) == ["HEAD", "POST", "PUT"]
    assert heard[-1] == (len(BYTES), len(BYTES))
    registry.forget()
    assert client.push_blob(at("shop"), DIGEST, layer) == "there"
    assert methods(registry) == ["HEAD"]
    assert client.has_blob(at("shop"), DIGEST) and not client.has_blob(at("other"), DIGEST)


def test_over_tls_too(make_client: Callable[..., Client], layer: Path) -> None:
    with Registry(tls=True) as registry:
        client = make_client(tls=Tls(ca=registry.ca))
        shop = reference.parse(registry.name("shop"))
        assert client.push_blob(shop, DIGEST, layer, piece=1 << 20) == "uploaded"
        assert registry.blob(DIGEST) == BYTES
        client.close()


def test_an_empty_blob_is_uploaded(registry: Registry, client: Client, at: At, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert client.push_blob(at("shop"), digest.of_bytes(b""), tmp_path / "empty") == "uploaded"
    assert registry.blob(digest.of_bytes(b"")) == b""


def test_a_blob_is_mounted_from_another_repository(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    registry.add_blob("base", BYTES)
    assert client.push_blob(at("shop"), DIGEST, layer, mount_from="base") == "mounted"
    assert methods(registry) == ["HEAD", "POST"]
    assert client.has_blob(at("shop"), DIGEST)


def test_a_mount_that_fails_becomes_an_upload(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    assert client.push_blob(at("shop"), DIGEST, layer, mount_from="base") == "uploaded"
    assert methods(registry) == ["HEAD", "POST", "PUT"]
    registry.fault(path="mount=", status=405)
    assert client.push_blob(at("other"), DIGEST, layer, mount_from="shop") == "uploaded"


def test_a_blob_goes_in_pieces(registry: Registry, client: Client, at: At, layer: Path) -> None:
    assert client.push_blob(at("shop"), DIGEST, layer, piece=1 << 20) == "uploaded"
    assert registry.blob(DIGEST) == BYTES
    assert methods(registry) == ["HEAD", "POST", "PATCH", "PATCH", "PATCH", "PUT"]


@pytest.mark.parametrize("piece", [0, 1 << 20])
def test_an_upload_goes_on_where_it_broke_off(
    registry: Registry, client: Client, at: At, layer: Path, piece: int
) -> None:
    heard: list[int] = []
    method = "PATCH" if piece else "PUT"
    registry.fault(method=method, after=500_000, reset=True)
    watch = Watch(progress=lambda done, total: heard.append(done))
    assert client.push_blob(at("shop"), DIGEST, layer, watch, piece=piece) == "uploaded"
    assert registry.blob(DIGEST) == BYTES
    resumed = [seen.headers.get("content-range", "") for seen in registry.requests if seen.method == "PATCH"]
    assert any(asked.startswith("500000-") for asked in resumed)
    assert registry.count("POST") == 1 and heard[-1] == len(BYTES)


def test_an_upload_that_stalls_is_taken_up(registry: Registry, hasty: Client, at: At, layer: Path) -> None:
    registry.fault(method="PUT", path="/uploads/", after=500_000, stall=5)
    assert hasty.push_blob(at("shop"), DIGEST, layer) == "uploaded"
    assert registry.blob(DIGEST) == BYTES


def test_an_upload_that_the_registry_forgot_begins_anew(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    registry.fault(method="PUT", path="/uploads/", reset=True, after=500_000)
    registry.fault(method="GET", path="/uploads/", status=404)
    assert client.push_blob(at("shop"), DIGEST, layer) == "uploaded"
    assert methods(registry) == ["HEAD", "POST", "PUT", "GET", "POST", "PUT"]
    registry.fault(method="PATCH", path="/uploads/", status=416)
    assert client.push_blob(at("other"), DIGEST, layer, piece=1 << 20) == "uploaded"


def test_an_upload_that_was_patched_wrongly_begins_anew(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    registry.fault(method="PUT", path="/uploads/", reset=True, after=500_000)
    registry.fault(method="PUT", path="/uploads/", status=400, code="DIGEST_INVALID")
    assert client.push_blob(at("shop"), DIGEST, layer) == "uploaded"
    assert registry.blob(DIGEST) == BYTES
    registry.fault(method="PUT", path="/uploads/", status=400, code="DIGEST_INVALID")
    with pytest.raises(RegistryError, match="a fault on demand"):
        client.push_blob(at("other"), DIGEST, layer)


def test_a_blob_that_is_too_large_at_once_goes_in_pieces(
    registry: Registry, client: Client, at: At, layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "_SMALLER", 1 << 20)
    registry.fault(method="PUT", path="/uploads/", status=413)
    assert client.push_blob(at("shop"), DIGEST, layer) == "uploaded"
    assert methods(registry) == ["HEAD", "POST", "PUT", "POST", "PATCH", "PATCH", "PATCH", "PUT"]
    registry.fault(method="PATCH", path="/uploads/", status=413, times=100)
    with pytest.raises(BakeError, match="too large for this registry"):
        client.push_blob(at("other"), DIGEST, layer, piece=1 << 20)


def test_an_error_of_the_server_is_tried_again(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    registry.fault(method="POST", status=503, times=2)
    registry.fault(method="PUT", path="/uploads/", status=500)
    assert client.push_blob(at("shop"), DIGEST, layer) == "uploaded"
    assert registry.blob(DIGEST) == BYTES


def test_a_blob_whose_bytes_changed_is_refused(
    registry: Registry, client: Client, at: At, layer: Path
) -> None:
    layer.write_bytes(b"other bytes")
    with pytest.raises(RegistryError, match="digest did not match") as error:
        client.push_blob(at("shop"), DIGEST, layer)
    assert error.value.codes == ("DIGEST_INVALID",)
    with pytest.raises(BakeError, match="no such file to push"):
        client.push_blob(at("shop"), DIGEST, layer.with_name("gone"))


def test_a_manifest_goes_by_its_digest_and_then_by_its_tag(
    registry: Registry, client: Client, at: At
) -> None:
    registry.add_image("shop:1")
    data = registry.manifest("shop:1") or b""
    registry.forget()
    pushed = client.push_manifest(at("shop"), media_types.MANIFEST, data, tag="2")
    assert pushed == digest.of_bytes(data)
    targets = [seen.target.rpartition("/")[2] for seen in registry.requests if seen.method == "PUT"]
    assert targets == [pushed, "2"]
    assert client.resolve(at("shop:2")).digest == pushed


def test_a_tag_does_not_move_when_the_manifest_is_refused(registry: Registry, client: Client, at: At) -> None:
    old = registry.add_image("shop:1")
    newer = b'{"schemaVersion":2,"layers":[{"digest":"sha256:%064d"}]}' % 0
    with pytest.raises(RegistryError, match="blob unknown to registry: sha256:000"):
        client.push_manifest(at("shop"), media_types.MANIFEST, newer, tag="1")
    assert client.resolve(at("shop:1")).digest == old


def test_a_registry_that_stores_something_else_is_an_error(
    registry: Registry, client: Client, at: At
) -> None:
    registry.add_image("shop:1")
    registry.fault(method="PUT", headers={"Docker-Content-Digest": "sha256:other"})
    with pytest.raises(BakeError, match="stored sha256:other instead of"):
        client.push_manifest(at("shop"), media_types.MANIFEST, registry.manifest("shop:1") or b"", tag="2")


def test_layers_go_in_parallel(make_client: Callable[..., Client], tmp_path: Path) -> None:
    access = Access("bearer", {"me": "secret"}, anonymous_pull=False)
    contents = {digest.of_bytes(bytes([n]) * 300_000): bytes([n]) * 300_000 for n in range(12)}
    with Registry(access=access) as registry:
        client = make_client(credentials=_known(tmp_path, registry.host), connections=3)
        shop = reference.parse(registry.name("shop"))
        threads = []
        for name, data in contents.items():
            (tmp_path / name).write_bytes(data)
            threads.append(threading.Thread(target=client.push_blob, args=(shop, name, tmp_path / name)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(registry.blob(name) == data for name, data in contents.items())
        assert registry.connections <= 3
        assert registry.count("GET", "/token") == 1
        client.close()


def _known(folder: Path, host: str) -> Credentials:
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {host: {"username": "me", "password": "secret"}}}))
    return Credentials((file,))
