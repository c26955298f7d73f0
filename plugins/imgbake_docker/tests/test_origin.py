"""Images that an engine has by name: made there, or a registry's?"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgbake_docker import origin
from imgbake_docker.tests.projects import Put

ID, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def is_made_here(reference: str, pin: str | None = None, **found: Any) -> bool:
    ctx: Any = SimpleNamespace(pinned=lambda table, key: pin)
    return origin.is_made_here({"Id": ID, **found}, reference, ctx)


@pytest.mark.parametrize(
    ("digests", "expected"),
    [(None, True), ([], True), ([f"base@{OTHER}"], False), ([f"r.example.com/base@{OTHER}"], True)],
)
def test_an_engine_that_keeps_images_itself_tells_by_their_digests(
    digests: list[str] | None, expected: bool
) -> None:
    assert is_made_here("base:1", RepoDigests=digests) is expected


@pytest.mark.parametrize(
    ("reference", "pulled", "expected"),
    [
        ("base:1", ["docker.io/library/base"], False),
        ("base:1", ["r.example.com/base"], True),
        ("127.0.0.1:5000/a/base:1", ["127.0.0.1/a/base"], False),
        ("base:1", [], True),
    ],
)
def test_containerd_knows_what_was_pulled(reference: str, pulled: list[str], expected: bool) -> None:
    name = reference.rpartition(":")[0]
    identity = {"Pull": [{"Repository": each} for each in pulled]} if pulled else {}
    assert is_made_here(reference, RepoDigests=[f"{name}@{ID}"], Identity=identity) is expected


def test_where_containerd_does_not_tell_the_registry_does(registry: Put, base: Path) -> None:
    there = registry(base, "team/base", "1")
    elsewhere = there.replace("team/base", "team/none")
    for reference, expected in ((there, False), (elsewhere, True)):
        digests = [f"{reference.rpartition(':')[0]}@{ID}"]
        assert is_made_here(reference, RepoDigests=digests) is expected
    assert not is_made_here(elsewhere, ID, RepoDigests=digests), "imgbake.lock has it of a registry"
