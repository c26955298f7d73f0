"""What refers to a manifest, what a name means now, tags that go, and files that grow while they are sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake.api import BakeError, digest
from imgbake.testing.registry import Registry
from imgbake_oci import reference
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, FilePart

At = Callable[[str], Reference]
DATA = bytes(range(256)) * 8000


def test_what_refers_to_a_manifest_is_listed(client: Client) -> None:
    with Registry(referrers=True) as registry:
        image = registry.add_image("shop:1", [b"layer"])
        signature = registry.add_referrer("shop", image, b"signed", "application/vnd.test.signature")
        at = reference.parse(registry.name("shop:1"))
        assert [each.digest for each in client.referrers(at, image) or ()] == [signature]
        assert client.referrers(at, signature) == []
        client.close()


def test_a_registry_without_such_a_list_is_no_error(registry: Registry, client: Client, at: At) -> None:
    image = registry.add_image("shop:1", [b"layer"])
    assert client.referrers(at("shop:1"), image) is None


def test_what_a_name_means_now_costs_one_request(registry: Registry, client: Client, at: At) -> None:
    image = registry.add_image("shop:1", [b"layer"])
    client.current(at("shop:1"))
    registry.forget()
    found = client.current(at("shop:1"))
    assert found is not None and found.digest == image
    assert client.current(at("shop:2")) is None and client.current(at("other:1")) is None
    assert [seen.method for seen in registry.requests] == ["HEAD"] * 3


def test_it_is_read_where_the_answer_says_too_little(registry: Registry, client: Client, at: At) -> None:
    image = registry.add_image("shop:1", [b"layer"])
    registry.fault(method="HEAD", without=("Docker-Content-Digest",))
    found = client.current(at("shop:1"))
    assert found is not None and found.digest == image


def test_a_tag_is_removed_where_that_is_allowed(client: Client) -> None:
    for deletes in (True, False):
        with Registry(deletes=deletes) as registry:
            image = registry.add_image("shop:1", [b"layer"])
            at = reference.parse(registry.name("shop:1"))
            if deletes:
                client.delete_tag(at)
                assert client.current(at) is None and client.current(at.pinned(image))
            else:
                with pytest.raises(BakeError, match="unsupported"):
                    client.delete_tag(at)
            client.close()


def test_a_file_is_sent_while_it_grows(registry: Registry, client: Client, at: At, tmp_path: Path) -> None:
    path, there = tmp_path / "blob", threading.Event()
    half = len(DATA) // 2
    path.write_bytes(DATA[:half])

    def grown(place: int, check: Callable[[], None]) -> int:
        if place < half:
            return half
        assert there.wait(10)
        return len(DATA)

    def finish() -> None:
        while not registry.count("POST"):
            time.sleep(0.01)
        with path.open("ab") as file:
            file.write(DATA[half:])
        there.set()

    writer = threading.Thread(target=finish)
    writer.start()
    name = digest.of_bytes(DATA)
    part = FilePart(path, 0, len(DATA), grown)
    assert client.upload_blob(at("shop:1"), name, lambda: part) == len(DATA)
    writer.join()
    assert registry.blob(name) == DATA


def test_a_part_of_a_file_is_sent(registry: Registry, client: Client, at: At, tmp_path: Path) -> None:
    (tmp_path / "tar").write_bytes(b"before" + DATA + b"after")
    name = digest.of_bytes(DATA)
    for repository, piece in (("whole:1", 0), ("pieces:1", 300_000)):
        part = FilePart(tmp_path / "tar", len(b"before"), len(DATA))
        client.upload_blob(at(repository), name, lambda part=part: part, piece=piece)  # type: ignore[misc]  # mypy can't infer a lambda's default
        assert registry.blob(name) == DATA


def test_a_source_that_fails_is_no_fault_of_the_registry(
    registry: Registry, client: Client, at: At, tmp_path: Path
) -> None:
    def grown(place: int, check: Callable[[], None]) -> int:
        raise BakeError("the source is gone")

    part = FilePart(tmp_path / "absent", 0, 10, grown)
    with pytest.raises(BakeError, match="the source is gone"):
        client.upload_blob(at("shop:1"), digest.of_bytes(b""), lambda: part)
