"""Streams in a registry: what every shelf is held to, on several registries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.api import Interrupted, UsageError
from imgbake.testing.registry import Registry
from imgbake.testing.shelves import Place, ShelfConformance
from imgbake_oci.streams.marks import parse
from imgbake_oci.streams.shelf import RegistryShelf
from imgbake_oci.tests.debian import docker_registry


class TestRegistryShelf(ShelfConformance):
    writers, changes = 4, 4

    @pytest.fixture(params=[True, False], ids=["deletes", "keeps"])
    def place(self, request: pytest.FixtureRequest) -> Iterator[Place]:
        with Registry(deletes=request.param) as registry:
            yield lambda: RegistryShelf(f"oci://{registry.name('shop/streams')}", lambda: None)


class TestDebiansRegistry(ShelfConformance):
    writers, changes = 3, 3

    @pytest.fixture(params=[True, False], ids=["deletes", "keeps"])
    def place(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
        with docker_registry(tmp_path, deletes=request.param) as host:
            yield lambda: RegistryShelf(f"oci://{host}/shop/streams", lambda: None)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry(deletes=True) as running:
        yield running


def _changed(registry: Registry, times: int) -> RegistryShelf:
    shelf = RegistryShelf(f"oci://{registry.name('streams')}", lambda: None)
    for number in range(times):
        kept = shelf.load("python")
        assert shelf.save("python", b"%d" % number, kept.version if kept else "")
    return shelf


def test_tags_of_old_versions_are_removed(registry: Registry) -> None:
    _changed(registry, 40)
    versions = {mark.version for mark in parse(registry.contents.repository("streams").tags)}
    assert min(versions - {1}) >= 40 - 16 - 8


def test_a_registry_that_removes_no_tags_keeps_them(registry: Registry) -> None:
    registry.contents.deletes_tags = False
    shelf = _changed(registry, 20)
    kept = shelf.load("python")
    assert kept is not None and kept.data == b"19"


def test_a_change_takes_twelve_requests(registry: Registry) -> None:
    shelf = _changed(registry, 3)
    registry.forget()
    kept = shelf.load("python")
    assert kept is not None and shelf.save("python", b"{}", kept.version)
    assert len(registry.requests) == 12


def test_no_tag_is_ever_put_twice(registry: Registry) -> None:
    _changed(registry, 20)
    put = [seen.target for seen in registry.requests if seen.method == "PUT" and "/manifests/" in seen.target]
    assert len(put) == len(set(put)) == 60


def test_other_tags_of_the_repository_are_no_streams(registry: Registry) -> None:
    registry.add_image("streams:python")
    registry.add_image("streams:_python.1.d")
    shelf = RegistryShelf(f"oci://{registry.name('streams')}", lambda: None)
    assert list(shelf.names()) == [] and shelf.load("python") is None
    assert shelf.save("python", b"{}", "") and list(shelf.names()) == ["python"]


@pytest.mark.parametrize("address", ["oci://", "oci://host.example/A", "oci://host.example/a:tag"])
def test_an_address_that_is_no_repository_is_an_error(address: str) -> None:
    with pytest.raises(UsageError, match=r"is no (place in|repository of) a registry"):
        RegistryShelf(address, lambda: None)


def test_who_is_interrupted_asks_no_more(registry: Registry) -> None:
    def stop() -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        RegistryShelf(f"oci://{registry.name('streams')}", stop).load("python")
