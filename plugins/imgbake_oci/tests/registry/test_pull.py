from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake.api import BakeError, Interrupted, digest
from imgbake.testing.registry import Registry
from imgbake_oci import media_types, reference
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, RegistryError, Retries, Timeouts, Watch

At = Callable[[str], Reference]
BYTES = random.Random(1).randbytes(3_000_000)
LAYER = Descriptor(media_types.LAYER, digest.of_bytes(BYTES), len(BYTES))


@pytest.fixture(autouse=True)
def shop(registry: Registry) -> str:
    return registry.add_image("shop:1", [BYTES])


def test_a_tag_is_resolved_by_one_request(registry: Registry, client: Client, at: At, shop: str) -> None:
    found = client.resolve(at("shop:1"))
    assert (found.digest, found.media_type) == (shop, media_types.MANIFEST)
    assert found.size == len(registry.manifest("shop:1") or b"")
    assert registry.count("", "/manifests/") == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 405},
        {"status": 404},
        {"without": ("Docker-Content-Digest",)},
        {"without": ("Content-Type",)},
        {"headers": {"Docker-Content-Digest": "sha512:12"}},
    ],
)
def test_get_is_asked_where_head_says_too_little(
    registry: Registry, client: Client, at: At, shop: str, fault: dict[str, object]
) -> None:
    registry.fault(method="HEAD", **fault)
    assert client.resolve(at("shop:1")).digest == shop
    assert registry.count("GET", "/manifests/") == 1


def test_a_manifest_is_verified(registry: Registry, client: Client, at: At, shop: str) -> None:
    assert client.manifest(at("shop:1"), shop) == (media_types.MANIFEST, registry.manifest("shop:1"))
    for asked in (at("shop:1"), at("shop:1").pinned(shop)):
        registry.fault(method="GET", path="/manifests/", corrupt=True)
        with pytest.raises(BakeError, match=f"not the manifest {shop}"):
            client.manifest(asked)


def test_the_digest_decides_where_there_is_also_a_tag(
    registry: Registry, client: Client, at: At, shop: str
) -> None:
    newer = registry.add_image("shop:1", [b"newer"])
    assert client.resolve(at("shop:1")).digest == newer
    assert client.resolve(at("shop:1").pinned(shop)).digest == shop


def test_a_media_type_may_be_missing_from_the_header_but_must_not_contradict(
    registry: Registry, client: Client, at: At, shop: str
) -> None:
    registry.fault(headers={"Content-Type": "text/plain"})
    assert client.manifest(at("shop:1"))[0] == media_types.MANIFEST
    registry.fault(headers={"Content-Type": media_types.INDEX})
    with pytest.raises(BakeError, match="contradicts itself"):
        client.manifest(at("shop:1"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"schemaVersion": 1}', "oldest format"),
        (b'{"mediaType": "application/vnd.helm"}', "it's a helm"),
        (b"not json", "not JSON"),
        (b"[1]", "not JSON"),
    ],
)
def test_what_is_no_image_is_refused(
    registry: Registry, client: Client, at: At, data: bytes, said: str
) -> None:
    registry.add_manifest("odd:1", data, "application/json")
    said = said.replace("it's a helm", "not an image: its manifest is a application/vnd.helm")
    with pytest.raises(BakeError, match=said):
        client.manifest(at("odd:1"))


def test_a_manifest_has_at_most_4_mib(registry: Registry, client: Client, at: At) -> None:
    registry.add_manifest("big:1", b" " * (4 << 20) + b"{}", media_types.MANIFEST)
    with pytest.raises(BakeError, match="more than 4194304 bytes"):
        client.manifest(at("big:1"))


def test_a_missing_tag_is_an_error_with_a_suggestion(registry: Registry, client: Client, at: At) -> None:
    registry.add_image("shop:1.4.2")
    with pytest.raises(RegistryError, match=r"/shop has no tag '1\.4\.3'") as error:
        client.resolve(at("shop:1.4.3"))
    assert "did you mean '1.4.2'" in error.value.hint
    assert (error.value.status, error.value.codes) == (404, ("MANIFEST_UNKNOWN",))


def test_a_missing_repository_or_digest_is_an_error(client: Client, at: At) -> None:
    with pytest.raises(BakeError, match="no repository shopp"):
        client.resolve(at("shopp:1"))
    with pytest.raises(BakeError, match="/shop has no manifest sha256:0000"):
        client.resolve(at("shop").pinned("sha256:" + "0" * 64))


def test_a_registry_may_keep_its_tags_to_itself(registry: Registry, client: Client, at: At) -> None:
    registry.fault(path="tags/list", status=403)
    with pytest.raises(BakeError, match=r"/shop has no tag '2'") as error:
        client.resolve(at("shop:2"))
    assert error.value.hint == "check the tag"


def test_a_blob_is_downloaded(client: Client, at: At, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    client.blob(at("shop:1"), LAYER, tmp_path / "layer", Watch(progress=lambda *now: heard.append(now)))
    assert (tmp_path / "layer").read_bytes() == BYTES
    assert heard[-1] == (len(BYTES), len(BYTES)) and len(heard) > 3


@pytest.mark.parametrize("how", ["truncate", "reset"])
def test_a_download_goes_on_where_it_broke_off(
    registry: Registry, client: Client, at: At, tmp_path: Path, how: str
) -> None:
    registry.fault(path="/blobs/", after=1_000_000, times=2, **{how: True})
    client.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == BYTES
    ranges = [seen.headers.get("range") for seen in registry.requests if "/blobs/" in seen.target]
    assert ranges[0] is None
    if how == "truncate":  # a reset throws away what was still on its way
        assert ranges[1:] == ["bytes=1000000-", "bytes=2000000-"]


def test_a_download_begins_anew_without_ranges(
    registry: Registry, client: Client, at: At, tmp_path: Path
) -> None:
    registry.fault(path="/blobs/", truncate=True, after=1_000_000)
    registry.fault(path="/blobs/", headers={"Content-Range": "bytes 5-9/10"})  # a range not asked for
    registry.fault(path="/blobs/", truncate=True, after=1_000_000)
    client.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == BYTES


def test_wrong_bytes_are_an_error_that_names_the_blob(
    registry: Registry, client: Client, at: At, tmp_path: Path
) -> None:
    registry.fault(path="/blobs/", corrupt=True)
    with pytest.raises(BakeError, match=f"blob {LAYER.digest} is not right"):
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert not (tmp_path / "layer").exists()
    assert registry.count("GET", "/blobs/") == 1


def test_a_blob_is_never_longer_than_announced(client: Client, at: At, tmp_path: Path) -> None:
    short = Descriptor(LAYER.media_type, LAYER.digest, 1000)
    with pytest.raises(BakeError, match="more than its 1000 bytes"):
        client.blob(at("shop:1"), short, tmp_path / "layer")
    assert not (tmp_path / "layer").exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(
    registry: Registry, client: Client, at: At, shop: str, status: int
) -> None:
    registry.fault(status=status, times=3)
    assert client.resolve(at("shop:1")).digest == shop
    assert registry.count("HEAD", "/manifests/") == 4


def test_tries_come_to_an_end(registry: Registry, client: Client, at: At, tmp_path: Path) -> None:
    registry.fault(status=503, times=100, code="UNAVAILABLE")
    with pytest.raises(RegistryError, match="HTTP 503 Service Unavailable: a fault on demand") as error:
        client.manifest(at("shop:1"))
    assert error.value.codes == ("UNAVAILABLE",)
    assert registry.count("GET", "/manifests/") == 4
    registry.heal()
    registry.fault(path="/blobs/", reset=True, times=100)
    with pytest.raises(BakeError, match="/blobs/"):
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert not (tmp_path / "layer").exists()


@pytest.mark.parametrize("status", [400, 403, 410, 418])
def test_other_refusals_are_final(registry: Registry, client: Client, at: At, status: int) -> None:
    registry.fault(method="GET", status=status, times=100)
    with pytest.raises(RegistryError) as error:
        client.manifest(at("shop:1"))
    assert error.value.status == status
    assert registry.count("GET", "/manifests/") == 1


def test_a_pause_that_is_asked_for_is_kept(registry: Registry, client: Client, at: At) -> None:
    registry.fault(status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    client.resolve(at("shop:1"))
    assert time.monotonic() - started >= 1


def test_a_pause_that_is_too_long_is_not_waited_for(registry: Registry, client: Client, at: At) -> None:
    registry.fault(method="GET", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(BakeError, match="too many requests") as error:
        client.manifest(at("shop:1"))
    assert "docker login" in error.value.hint


def test_stalls_are_noticed(registry: Registry, hasty: Client, at: At, shop: str, tmp_path: Path) -> None:
    registry.fault(stall=5)
    assert hasty.resolve(at("shop:1")).digest == shop
    registry.fault(path="/blobs/", after=1_000_000, stall=5)
    hasty.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert (tmp_path / "layer").read_bytes() == BYTES


def test_a_registry_that_stalls_at_first_is_not_taken_for_one_with_tls(
    registry: Registry, hasty: Client, at: At, shop: str
) -> None:
    registry.fault(path="/v2/", stall=5)
    assert hasty.resolve(at("shop:1")).digest == shop


def test_a_stopped_build_does_not_wait_for_a_stalled_registry(
    registry: Registry, make_client: Callable[..., Client], at: At, tmp_path: Path
) -> None:
    client = make_client(timeouts=Timeouts(stall=60), retries=Retries())
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Interrupted

    registry.fault(path="/blobs/", stall=30, after=1_000_000)
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        client.blob(at("shop:1"), LAYER, tmp_path / "layer", Watch(check))
    assert time.monotonic() - started < 15
    assert not (tmp_path / "layer").exists()
    timer.join()


def test_a_registry_that_keeps_silent_holds_up_no_other(
    make_client: Callable[..., Client], at: At, shop: str
) -> None:
    client = make_client(timeouts=Timeouts(stall=60), retries=Retries())
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Interrupted

    def ask(host: str) -> None:
        with pytest.raises(Interrupted):
            client.resolve(reference.parse(f"{host}/shop:1"), Watch(check))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asking = threading.Thread(target=ask, args=(f"127.0.0.1:{silent.getsockname()[1]}",))
        asking.start()
        connection, _ = silent.accept()
        watchdog = threading.Timer(30, stop.set)
        watchdog.start()
        with connection:
            assert client.resolve(at("shop:1"), Watch(check)).digest == shop
            assert not stop.is_set()
            stop.set()
            asking.join()
        watchdog.cancel()


def test_a_redirect_elsewhere_brings_no_authorization(
    registry: Registry, client: Client, at: At, tmp_path: Path
) -> None:
    with Registry() as storage:
        storage.add_blob("kept", BYTES)
        location = f"{storage.url}/v2/kept/blobs/{LAYER.digest}?signature=geheim"
        registry.fault(path="/blobs/", status=307, headers={"Location": location}, times=2)
        storage.fault(path="/blobs/", truncate=True, after=1_000_000)
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")
        assert (tmp_path / "layer").read_bytes() == BYTES
        assert [seen.headers.get("range") for seen in storage.requests] == [None, "bytes=1000000-"]
        assert not any("authorization" in seen.headers for seen in storage.requests)
        registry.fault(path="/blobs/", status=307, headers={"Location": location})
        storage.fault(status=403)
        with pytest.raises(BakeError) as error:
            client.blob(at("shop:1"), LAYER, tmp_path / "layer")
        assert "geheim" not in error.value.render()


@pytest.mark.parametrize("location", ["ftp://storage/x", "http://[bad/", "//host:port/", "https://u:p@host/"])
def test_a_redirect_to_nonsense_is_an_error(
    registry: Registry, client: Client, at: At, tmp_path: Path, location: str
) -> None:
    registry.fault(path="/blobs/", status=307, headers={"Location": location})
    with pytest.raises(BakeError, match="which is no address"):
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")


def test_a_full_or_missing_folder_is_an_error(client: Client, at: At, tmp_path: Path) -> None:
    with pytest.raises(BakeError, match=r"could not write blob sha256:.*No such file"):
        client.blob(at("shop:1"), LAYER, tmp_path / "none/layer")
    with pytest.raises(BakeError, match=r"could not write blob sha256:.*No space left"):
        client.blob(at("shop:1"), LAYER, _full(tmp_path))


def _full(folder: Path) -> Path:
    """A path at which nothing can be written."""
    (folder / "full").symlink_to("/dev/full")
    return folder / "full"


def test_redirects_come_to_an_end(registry: Registry, client: Client, at: At, tmp_path: Path) -> None:
    registry.fault(path="/blobs/", status=302, headers={"Location": "/v2/round"}, times=100)
    registry.fault(path="/round", status=302, headers={"Location": "/v2/round"}, times=100)
    with pytest.raises(BakeError, match="too many redirects"):
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")


def test_a_redirect_to_plain_http_elsewhere_is_refused(
    registry: Registry, client: Client, at: At, tmp_path: Path
) -> None:
    registry.fault(path="/blobs/", status=307, headers={"Location": "http://example.com/x?token=geheim"})
    with pytest.raises(BakeError, match=r"leads to http://example\.com/x, which is not HTTPS") as error:
        client.blob(at("shop:1"), LAYER, tmp_path / "layer")
    assert "geheim" not in error.value.render()


def test_many_threads_share_few_connections(
    registry: Registry, make_client: Callable[..., Client], at: At, tmp_path: Path
) -> None:
    client = make_client(connections=2)
    threads = [
        threading.Thread(target=client.blob, args=(at("shop:1"), LAYER, tmp_path / str(number)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((tmp_path / str(number)).read_bytes() == BYTES for number in range(8))
    assert registry.connections <= 2


def test_a_connection_that_the_registry_closed_is_replaced(
    registry: Registry, client: Client, at: At, shop: str
) -> None:
    client.resolve(at("shop:1"))
    registry.hang_up()
    assert client.resolve(at("shop:1")).digest == shop
    assert registry.count("HEAD") == 2


def test_a_registry_that_is_not_there_is_an_error_at_once(client: Client) -> None:
    started = time.monotonic()
    with pytest.raises(BakeError, match=r"127\.0\.0\.1:1: could not connect: .*refused"):
        client.resolve(reference.parse("127.0.0.1:1/shop"))
    with pytest.raises(BakeError, match=r"nowhere\.invalid: no such host"):
        client.resolve(reference.parse("nowhere.invalid/shop"))
    with pytest.raises(BakeError, match="could not connect"):
        client.resolve(reference.parse(f"{'a' * 70}.example.com/shop"))
    assert time.monotonic() - started < 15
