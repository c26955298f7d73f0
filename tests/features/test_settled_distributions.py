"""A distribution that left nothing to do: the next one asks the destinations, and reads no recipe."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.api import digest
from imgbake.testing.project import Project
from imgbake.testing.proxy import RoughProxy
from imgbake.testing.registry import Access, Registry
from imgbake.testing.shop import Shop, layout, registry

NOTHING = "nothing to do: "


@pytest.fixture
def eu() -> Iterator[Registry]:
    with Registry(deletes=True) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, eu: Registry) -> Shop:
    return written(tmp_path, eu.host)


def written(folder: Path, host: str) -> Shop:
    """A project whose image goes to this registry, and to a layout."""
    shop = Shop(folder / "shop")
    shop.to(eu=registry(f"{host}/shop"), disk=layout("out"))
    shop.write("app", "first")
    return shop


def settle(project: Project, *words: str) -> None:
    """Leaves nothing to do, and files that are old enough to prove it."""
    assert project.run(*words).code == 0
    time.sleep(0.1)
    assert project.run(*words).code == 0


def has_nothing_to_do(project: Project, *words: str) -> bool:
    ran = project.run(*words)
    assert ran.code == 0, ran.stderr
    return ran.stderr.startswith(NOTHING)


def in_a_process(project: Project, *words: str) -> tuple[str, set[str]]:
    """What it says on stderr, and what of Typer and the client of registries was loaded for it."""
    script = (
        "import sys; from imgbake.cli import run; run(sys.argv[1:])\n"
        "print(*{'typer', 'imgbake_oci.registry', 'imgbake.app.distributing'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", script, *words]
    ran = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, check=True)
    return ran.stderr, set(ran.stdout.splitlines()[-1].split())


def test_it_costs_one_request_for_each_manifest_and_tag(shop: Shop, eu: Registry) -> None:
    settle(shop, "distribute")
    eu.forget()
    said, loaded = in_a_process(shop, "distribute")
    assert said.startswith(NOTHING) and not loaded
    assert sorted((seen.method, seen.target.rpartition("/")[2][:6]) for seen in eu.requests) == [
        ("HEAD", "1"), ("HEAD", "sha256"), ("HEAD", "stable"),
    ]  # fmt: skip


def test_both_ways_show_the_same(shop: Shop, eu: Registry) -> None:
    settle(shop, "distribute")
    short = shop.run("distribute")
    long = shop.run("distribute", "--to", "eu", "--to", "disk")
    assert short.stderr.startswith(NOTHING) and not long.stderr.startswith(NOTHING)
    assert [line.split()[0] for line in short.stdout.splitlines()] == ["RESULT", "there", "there"]
    assert [line.split() for line in short.stdout.splitlines()] == [
        line.split() for line in long.stdout.splitlines()
    ]
    document = shop.run("distribute", "--format", "json")
    assert document.stderr.startswith(NOTHING)
    assert [each["result"] for each in document.json["arrivals"]] == ["there", "there"]


@pytest.mark.parametrize("lost", ["manifests", "tags"])
def test_what_a_registry_lost_is_brought_again(shop: Shop, eu: Registry, lost: str) -> None:
    settle(shop, "distribute")
    getattr(eu.contents.repository("shop"), lost).clear()
    assert not has_nothing_to_do(shop, "distribute")
    assert eu.manifest("shop:stable")


def test_a_tag_that_somebody_moved_is_moved_back(shop: Shop, eu: Registry) -> None:
    settle(shop, "distribute")
    ours = digest.of_bytes(eu.manifest("shop:stable") or b"")
    eu.add_image("shop:stable", [b"theirs"])
    assert not has_nothing_to_do(shop, "distribute")
    assert digest.of_bytes(eu.manifest("shop:stable") or b"") == ours


@pytest.mark.parametrize("lost", ["index.json", "blobs"])
def test_what_a_layout_lost_is_brought_again(shop: Shop, lost: str) -> None:
    settle(shop, "distribute")
    path = shop.root / "out" / lost
    found = path if path.is_file() else next((path / "sha256").iterdir())
    found.unlink()
    assert not has_nothing_to_do(shop, "distribute")
    assert found.exists()


def test_a_folder_that_is_no_layout_any_more_is_noticed(shop: Shop) -> None:
    settle(shop, "distribute")
    (shop.root / "out" / "oci-layout").unlink()
    ran = shop.run("distribute")
    assert ran.code == 3 and "is no OCI layout" in ran.stderr


def test_a_changed_file_is_distributed(shop: Shop, eu: Registry) -> None:
    settle(shop, "distribute")
    before = eu.manifest("shop:stable")
    shop.write("app", "second")
    assert not has_nothing_to_do(shop, "distribute")
    assert eu.manifest("shop:stable") != before


def test_a_registry_that_is_closed_is_a_failure(shop: Shop, eu: Registry) -> None:
    settle(shop, "distribute")
    eu.fault(status=403, times=1000)
    assert shop.run("distribute").code == 3


def test_force_and_full_verification_look_at_everything(shop: Shop) -> None:
    settle(shop, "distribute")
    assert not has_nothing_to_do(shop, "distribute", "-B")
    assert not has_nothing_to_do(shop, "distribute", "--verify", "full")


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_a_registry_with_passwords_is_asked_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with Registry(access=Access(mode, {"me": "secret"}, anonymous_pull=False)) as eu:
        known = {"auths": {eu.host: {"auth": base64.b64encode(b"me:secret").decode()}}}
        (tmp_path / "config.json").write_text(json.dumps(known))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        shop = written(tmp_path, eu.host)
        settle(shop, "distribute")
        eu.forget()
        assert has_nothing_to_do(shop, "distribute")
        assert {seen.method for seen in eu.requests} <= {"HEAD", "GET"}
        eu.contents.repository("shop").tags.clear()
        assert not has_nothing_to_do(shop, "distribute")


def test_a_copy_is_settled_too_and_leaves_nothing_where_it_is_made(project: Project, eu: Registry) -> None:
    eu.add_image("shop:1", [b"layer"])
    assert project.run("copy", eu.name("shop:1"), "oci:image:1").code == 0
    words = ("copy", "oci:image:1", eu.name("other:1"), "oci:second:1")
    time.sleep(0.1)
    settle(project, *words)
    said, loaded = in_a_process(project, *words)
    assert said.startswith(NOTHING) and not loaded
    assert sorted(path.name for path in project.root.iterdir()) == ["image", "second"]
    assert not has_nothing_to_do(project, *words, "--no-referrers")
    eu.contents.repository("other").tags.clear()
    assert not has_nothing_to_do(project, *words)


def test_what_refers_to_an_image_of_a_registry_may_be_new_every_time(project: Project, eu: Registry) -> None:
    eu.add_image("shop:1", [b"layer"])
    pinned = f"{eu.host}/shop@{digest.of_bytes(eu.manifest('shop:1') or b'')}"
    words = ("copy", pinned, eu.name("other:1"))
    settle(project, *words)
    assert not has_nothing_to_do(project, *words)
    settle(project, *words, "--no-referrers")
    assert has_nothing_to_do(project, *words, "--no-referrers")


def test_questions_go_through_a_proxy_in_one_go(tmp_path: Path, eu: Registry) -> None:
    with RoughProxy(int(eu.host.rpartition(":")[2]), 0, often=0) as proxy:
        shop = written(tmp_path, proxy.host)
        settle(shop, "distribute")
        eu.forget()
        said, loaded = in_a_process(shop, "distribute")
        assert said.startswith(NOTHING) and not loaded
        assert len(eu.requests) == 3
