"""Bases that are pulled from a registry: found, pinned, verified; and registries that misbehave."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project, Ran
from imgbake.testing.registry import Access, Registry
from imgbake_oci import bases
from imgbake_oci.registry import Retries, Timeouts, client
from imgbake_oci.tests.baked import Baked, Member, baked, folder, tar_of

LAYER = tar_of(folder("tmp", 0o1777), Member("etc/os", "x"))
UPPER = tar_of(Member("etc/more", "y"))
RECIPE = """
[components.app]
files = [{{ from = "tool", to = "/opt/tool" }}]

[images.app]
base = "{base}"
components = ["app"]
{more}
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Retries", lambda: Retries(attempts=3, first=0.01, longest=0.02))
    monkeypatch.setattr(client, "Timeouts", lambda: Timeouts(connect=5, stall=10))


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


def _over(project: Project, base: str, more: str = "") -> None:
    project.recipe(RECIPE.format(base=base, more=more))
    project.write("tool", "tool")


def _built(project: Project, base: str, more: str = "", target: str = "oci", **how: Any) -> Baked:
    _over(project, base, more)
    project.build(**how)
    return baked(project, target=target)


def _refused(project: Project, base: str, more: str = "", **how: Any) -> Ran:
    _over(project, base, more)
    ran = project.run("build", "--progress", "plain", **how)
    assert ran.code == 1 and "Traceback" not in ran.stderr and "bug" not in ran.stderr, ran.stderr
    return ran


def test_by_tag_by_digest_and_by_both(project: Project, registry: Registry) -> None:
    digest = registry.add_image("shop/base:1", [LAYER, UPPER])
    for base in ("shop/base:1", f"shop/base@{digest}", f"shop/base:other@{digest}"):
        image = _built(project, registry.name(base))
        assert [image.tar(0), image.tar(1)] == [LAYER, UPPER]
        assert image.files() == {"opt/tool": "tool"}
        annotations = image.manifest()["annotations"]
        assert annotations["org.opencontainers.image.base.digest"] == digest


def test_latest_is_meant_when_no_tag_is_given(project: Project, registry: Registry) -> None:
    registry.add_image("base:latest", [LAYER])
    assert _built(project, registry.name("base")).tar(0) == LAYER


def test_the_platform_is_chosen_from_an_index(project: Project, registry: Registry) -> None:
    images = {
        platform: registry.add_image("base", [tar_of(Member("platform", platform))], platform)
        for platform in ("linux/amd64", "linux/arm64", "linux/s390x")
    }
    index = registry.add_index("base:1", images)
    more = 'targets = ["t"]\n[targets.t]\nuses = "oci"\nplatforms = ["linux/arm64"]'
    image = _built(project, registry.name("base:1"), more, "t")
    assert image.files(0) == {"platform": "linux/arm64"}
    assert (image.config()["architecture"], image.root["mediaType"]) == (
        "arm64", "application/vnd.oci.image.manifest.v1+json"
    )  # fmt: skip
    assert image.manifest()["annotations"]["org.opencontainers.image.base.digest"] == index


def test_several_platforms_give_an_index(project: Project, registry: Registry) -> None:
    images = {
        platform: registry.add_image("base", [tar_of(Member("platform", platform))], platform)
        for platform in ("linux/amd64", "linux/arm64", "linux/s390x")
    }
    registry.add_index("base:1", images)
    more = 'targets = ["t"]\n[targets.t]\nuses = "oci"\nplatforms = ["linux/arm64", "linux/amd64"]'
    image = _built(project, registry.name("base:1"), more, "t")
    assert image.root["mediaType"] == "application/vnd.oci.image.index.v1+json"
    index = json.loads(image.blob(image.root["digest"]))
    assert [each["platform"] for each in index["manifests"]] == [
        {"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "amd64"}
    ]  # fmt: skip
    assert [image.config(number)["architecture"] for number in (0, 1)] == ["arm64", "amd64"]
    assert image.layers(0)[-1] == image.layers(1)[-1], "the component's layer is the same"
    assert image.layers(0)[0] != image.layers(1)[0]


def test_an_index_of_our_own_is_a_base(project: Project, registry: Registry) -> None:
    images = {
        platform: registry.add_image("base", [LAYER], platform) for platform in ("linux/amd64", "linux/arm64")
    }
    registry.add_index("base:1", images)
    project.recipe(
        f'[images.parent]\nbase = "{registry.name("base:1")}"\ntargets = ["t"]\n'
        '[images.child]\nbase = "image:parent"\ntargets = ["t"]\nlabels = { a = "b" }\n'
        '[targets.t]\nuses = "oci"\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    )
    project.build()
    child = baked(project, "child", "t")
    assert [child.config(number)["architecture"] for number in (0, 1)] == ["amd64", "arm64"]


def test_a_platform_that_is_not_there_is_an_error(project: Project, registry: Registry) -> None:
    registry.add_index("base:1", {"linux/amd64": registry.add_image("base", [LAYER])})
    more = 'targets = ["t"]\n[targets.t]\nuses = "oci"\nplatforms = ["linux/riscv64"]'
    ran = _refused(project, registry.name("base:1"), more)
    assert "has no image for linux/riscv64" in ran.stderr and "it has linux/amd64" in ran.stderr
    registry.add_image("single:1", [LAYER])
    ran = _refused(project, registry.name("single:1"), more)
    assert "is for linux/amd64, not for linux/riscv64" in ran.stderr


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_credentials_of_docker_are_used(project: Project, tmp_path: Path, mode: str) -> None:
    access = Access(mode, {"ann": "pässword"}, anonymous_pull=False)
    with Registry(access=access) as registry:
        registry.add_image("base:1", [LAYER])
        config = {"auths": {registry.host: {"auth": base64.b64encode("ann:pässword".encode()).decode()}}}
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/config.json").write_text(json.dumps(config))
        env = {"DOCKER_CONFIG": str(tmp_path / "docker")}
        assert _built(project, registry.name("base:1"), env=env).tar(0) == LAYER
        ran = _refused(project, registry.name("base:2"), env=env)
        assert "base:2" in ran.stderr
        ran = _refused(project, registry.name("base:1"), env={"DOCKER_CONFIG": str(tmp_path)})
        assert "hint:" in ran.stderr and "login" in ran.stderr
        for path in project.root.rglob("*"):
            assert not path.is_file() or "pässword".encode() not in path.read_bytes()


def test_a_tag_that_is_not_there(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [LAYER])
    ran = _refused(project, registry.name("base:2"))
    assert registry.name("base:2") in ran.stderr
    ran = _refused(project, registry.name("missing:1"))
    assert registry.name("missing:1") in ran.stderr


def test_what_only_an_engine_has_is_looked_for_at_docker_hub(
    project: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, "HUB", registry.host)
    ran = _refused(project, f"{registry.host}/mine:dev")
    assert "if only a docker engine has it: push it, or `docker save` it" in ran.stderr


def test_a_registry_that_is_not_there(project: Project) -> None:
    ran = _refused(project, "127.0.0.1:1/base:1")
    assert "127.0.0.1:1: could not connect: Connection refused" in ran.stderr


@pytest.mark.parametrize("reference", ["a b", "https://host/name", "name:", "a//b", "x@sha256:1"])
def test_a_reference_that_is_none(project: Project, reference: str) -> None:
    assert "is not an image reference" in _refused(project, reference).stderr


FAULTS: dict[str, dict[str, Any]] = {
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "429": {"status": 429},
    "500": {"status": 500},
    "cut": {"truncate": True, "after": 10},
    "wrong": {"corrupt": True},
    "reset": {"reset": True},
}


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"cut"}))
def test_a_blob_that_never_comes_right_is_an_error(project: Project, registry: Registry, name: str) -> None:
    registry.add_image("base:1", [LAYER])
    registry.fault(path="/blobs/", times=100, **FAULTS[name])
    ran = _refused(project, registry.name("base:1"))
    assert registry.host in ran.stderr
    assert not (project.root / ".imgbake/images/app").exists()
    registry.heal()
    project.build()
    assert baked(project).tar(0) == LAYER


@pytest.mark.parametrize("name", ["401", "404", "429", "500", "cut", "reset", "wrong"])
def test_a_manifest_that_never_comes_right_is_an_error(
    project: Project, registry: Registry, name: str
) -> None:
    registry.add_image("base:1", [LAYER])
    registry.fault(path="/manifests/", times=100, **FAULTS[name])
    assert registry.host in _refused(project, registry.name("base:1")).stderr


@pytest.mark.parametrize("name", ["429", "500", "cut", "reset"])
def test_what_goes_wrong_once_is_tried_again(project: Project, registry: Registry, name: str) -> None:
    registry.add_image("base:1", [LAYER])
    registry.fault(path="/blobs/", times=1, **FAULTS[name])
    registry.fault(path="/manifests/", times=1, **FAULTS[name])
    assert _built(project, registry.name("base:1")).tar(0) == LAYER


def test_when_one_blob_can_not_be_had_no_others_are_begun(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [tar_of(Member(f"{number}", "x")) for number in range(64)])
    config = json.loads(registry.manifest("base:1") or b"")["config"]["digest"]
    registry.fault(path=f"/blobs/(?!{config})", times=1000, status=500)
    _refused(project, registry.name("base:1"))
    assert registry.count("GET", "/blobs/") < 64


def test_a_blob_that_comes_in_many_pieces_is_put_together(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [LAYER])
    registry.fault(path="/blobs/", times=100, truncate=True, after=500)
    assert _built(project, registry.name("base:1")).tar(0) == LAYER


def test_what_the_store_has_is_not_fetched_again(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [LAYER])
    _built(project, registry.name("base:1"))
    registry.add_image("base:2", [LAYER, UPPER])
    registry.forget()
    _built(project, registry.name("base:2"))
    assert registry.count("GET", "/blobs/") == 2  # the new layer and the new configuration


def test_images_that_are_baked_at_once_fetch_their_base_once(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [LAYER, tar_of(Member("large", bytes(8 << 20)))])
    images = "".join(
        f'[images.i{number}]\nbase = "{registry.name("base:1")}"\nlabels = {{ n = "{number}" }}\n'
        for number in range(6)
    )
    project.recipe(images)
    project.build("-j", "6")
    assert registry.count("GET", "/blobs/") == 3  # two layers and a configuration


def test_without_a_lock_a_new_digest_is_noticed_and_explained(project: Project, registry: Registry) -> None:
    registry.add_image("base:1", [LAYER])
    name = registry.name("base:1")
    _built(project, name)
    assert set(project.build().outcomes().values()) == {"cached"}
    registry.add_image("base:1", [LAYER, UPPER])
    explained = project.run("explain", "app").stdout
    assert f"base {name} changed" in explained
    ran = project.build()
    assert ran.outcomes()["image:app@oci"] == "ran"
    assert f"base {name} changed" in ran.stderr
    assert len(baked(project).layers()) == 3


def test_a_locked_base_moves_only_when_it_is_told_to(project: Project, registry: Registry) -> None:
    old = registry.add_image("base:1", [LAYER])
    name = registry.name("base:1")
    _over(project, name)
    ran = project.run("lock")
    assert ran.code == 0 and f"added  {name}  {old}" in ran.stdout
    assert f'"{name}" = "{old}"' in project.read("imgbake.lock")
    project.build()
    new = registry.add_image("base:1", [LAYER, UPPER])
    registry.forget()
    assert set(project.build().outcomes().values()) == {"cached"}
    assert registry.count() == 0, "a locked base was asked for"
    assert f"kept  {name}  {old}" in project.run("lock").stdout
    assert len(baked(project).layers()) == 2
    before = project.read("imgbake.lock")
    project.build("--force")
    assert project.read("imgbake.lock") == before
    assert f"moved  {name}  {old} -> {new}" in project.run("lock", "--upgrade", name).stdout
    assert project.build().outcomes()["image:app@oci"] == "ran"
    assert len(baked(project).layers()) == 3


def test_a_locked_base_is_built_offline_from_the_store(project: Project) -> None:
    with Registry() as registry:
        registry.add_image("base:1", [LAYER])
        name = registry.name("base:1")
        _over(project, name)
        project.run("lock")
        project.build()
    project.write("tool", "other")
    project.build()
    assert baked(project).files() == {"opt/tool": "other"}


def test_a_lock_that_names_no_digest_is_an_error(project: Project) -> None:
    project.write("imgbake.lock", '[bases]\n"127.0.0.1:1/base:1" = "latest"\n')
    assert "which is no digest" in _refused(project, "127.0.0.1:1/base:1").stderr
    project.write("imgbake.lock", "[bases]\nnot toml")
    _over(project, "127.0.0.1:1/base:1")
    assert project.run("build").code == 2


def test_a_base_by_digest_is_not_locked_and_not_asked_for(project: Project, registry: Registry) -> None:
    digest = registry.add_image("base:1", [LAYER])
    _built(project, registry.name(f"base@{digest}"))
    registry.forget()
    assert set(project.build().outcomes().values()) == {"cached"}
    assert registry.count() == 0
    assert "nothing here moves by itself" in project.run("lock").stdout


def test_a_registry_that_is_down_is_an_error_even_when_everything_is_built(project: Project) -> None:
    with Registry() as registry:
        registry.add_image("base:1", [LAYER])
        name = registry.name("base:1")
        _built(project, name)
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and name.partition("/")[0] in ran.stderr
    assert baked(project).tar(0) == LAYER


def test_plan_and_lower_know_the_digest(project: Project, registry: Registry) -> None:
    digest = registry.add_image("base:1", [LAYER])
    _over(project, registry.name("base:1"))
    assert json.loads(project.run("lower", "app").stdout)["base"]["digest"] == digest
    assert registry.count("GET", "/blobs/") == 0
    assert project.run("plan").code == 0
