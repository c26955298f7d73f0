"""`imgbake build --push`: images in registries, by the tags of their targets."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project, Ran
from imgbake.testing.registry import Access, Registry
from imgbake_oci.registry import Retries, Timeouts, client
from imgbake_oci.tests.baked import Baked, baked, docker, program
from imgbake_oci.tests.debian import docker_registry

IMAGES = """
[components.app]
files = [{{ from = "tool", to = "/usr/bin/tool" }}]

[images.app]
base = "scratch"
components = ["app"]
targets = ["t"]

[targets.t]
uses = "oci"
tags = {tags}
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


def _tagged(project: Project, *tags: str, more: str = "") -> None:
    project.recipe(IMAGES.format(tags=json.dumps(tags), more=more))
    project.write("tool", "#!" + "x" * 10_000)


def _pushed(project: Project, *tags: str, more: str = "", **how: Any) -> Baked:
    _tagged(project, *tags, more=more)
    ran = project.build("--push", **how)
    image = baked(project, target="t")
    assert ran.json["pushed"] == [f"{tag}@{image.root['digest']}" for tag in tags]
    return image


def _refused(project: Project, *tags: str, **how: Any) -> Ran:
    _tagged(project, *tags)
    ran = project.run("build", "--push", "--progress", "plain", **how)
    assert ran.code == 1 and "Traceback" not in ran.stderr and "bug" not in ran.stderr, ran.stderr
    return ran


def test_everything_of_the_image_is_pushed(project: Project, registry: Registry) -> None:
    image = _pushed(project, registry.name("shop/app:1"))
    assert registry.manifest("shop/app:1") == image.blob(image.root["digest"])
    for each in (image.manifest()["config"], *image.manifest()["layers"]):
        assert registry.blob(each["digest"]) == image.blob(each["digest"])


def test_it_says_what_it_pushed(project: Project, registry: Registry) -> None:
    tag = registry.name("app:1")
    _tagged(project, tag)
    ran = project.run("build", "--push", "--progress", "plain")
    digest = baked(project, target="t").root["digest"]
    assert ran.code == 0
    assert ran.stdout.splitlines()[-1] == f"pushed {tag}@{digest}"
    assert "pushed" in ran.stderr


def test_tags_come_after_all_content_of_all_repositories(project: Project, registry: Registry) -> None:
    _pushed(project, registry.name("one:1"), registry.name("two:2"), registry.name("one:3"))
    put = [seen.target for seen in registry.requests if seen.method == "PUT"]
    first_tag = next(number for number, target in enumerate(put) if target.rpartition("/")[2] in "123")
    assert not any("/blobs/" in target for target in put[first_tag:])
    for repository in ("one", "two"):
        assert any(f"/v2/{repository}/manifests/sha256" in target for target in put[:first_tag])


def test_several_tags_of_one_repository_share_their_content(project: Project, registry: Registry) -> None:
    _pushed(project, registry.name("app:1"), registry.name("app:2"), registry.name("app:latest-3"))
    assert registry.count("POST", "/blobs/uploads/") == 2  # the layer and the configuration
    assert registry.manifest("app:1") == registry.manifest("app:2") == registry.manifest("app:latest-3")


def test_what_is_there_is_not_pushed_again(project: Project, registry: Registry) -> None:
    _pushed(project, registry.name("app:1"))
    registry.forget()
    _pushed(project, registry.name("app:1"))
    assert registry.count("POST") == 0
    assert registry.count("PUT", "/blobs/") == 0


def test_an_unchanged_image_is_pushed_too(project: Project, registry: Registry) -> None:
    _tagged(project, registry.name("app:1"))
    project.build()
    assert set(project.build().outcomes().values()) == {"cached"}
    ran = project.build("--push")
    assert set(ran.outcomes().values()) == {"cached"} and ran.json["pushed"]
    assert registry.manifest("app:1")


def test_an_index_is_pushed_with_its_images(project: Project, registry: Registry) -> None:
    more = 'platforms = ["linux/amd64", "linux/arm64"]'
    image = _pushed(project, registry.name("app:1"), more=more)
    index = json.loads(registry.manifest("app:1") or b"")
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    for each in index["manifests"]:
        assert registry.manifest(f"app@{each['digest']}") == image.blob(each["digest"])


def test_latest_is_the_tag_when_none_is_given(project: Project, registry: Registry) -> None:
    _tagged(project, registry.name("app"))
    project.build("--push")
    assert registry.manifest("app:latest")


@pytest.mark.parametrize(
    ("status", "path"),
    [
        (401, "/blobs/uploads/"), (404, "/blobs/uploads/"), (500, "/blobs/uploads/"),
        (403, "/manifests/sha256"), (500, "/manifests/sha256"),
        (403, "/manifests/1"), (429, "/manifests/1"),
    ],
)  # fmt: skip
def test_a_registry_that_refuses_leaves_no_tag(
    project: Project, registry: Registry, status: int, path: str
) -> None:
    registry.fault(path=path, times=100, status=status)
    ran = _refused(project, registry.name("app:1"), registry.name("app:2"))
    assert registry.host in ran.stderr
    assert registry.manifest("app:1") is None
    registry.heal()
    project.build("--push")
    assert registry.manifest("app:1") and registry.manifest("app:2")


def test_one_registry_that_refuses_keeps_the_tags_of_all_back(project: Project, registry: Registry) -> None:
    with Registry() as other:
        other.fault(path="/blobs/uploads/", times=100, status=500)
        _refused(project, registry.name("app:1"), other.name("app:1"))
        assert registry.manifest("app:1") is None and other.manifest("app:1") is None


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"reset": True, "after": 3}])
def test_what_goes_wrong_once_is_tried_again(
    project: Project, registry: Registry, fault: dict[str, Any]
) -> None:
    registry.fault(path="/blobs/uploads/", **fault)
    registry.fault(path="/manifests/", **fault)
    _pushed(project, registry.name("app:1"))
    assert registry.manifest("app:1")


@pytest.mark.parametrize("mode", ["basic", "bearer"])
def test_credentials_of_docker_are_used(project: Project, tmp_path: Path, mode: str) -> None:
    with Registry(access=Access(mode, {"ann": "secret-word"})) as registry:
        (tmp_path / "docker").mkdir()
        auth = base64.b64encode(b"ann:secret-word").decode()
        config = {"auths": {registry.host: {"auth": auth}}}
        (tmp_path / "docker/config.json").write_text(json.dumps(config))
        ran = _refused(project, registry.name("app:1"), env={"DOCKER_CONFIG": str(tmp_path)})
        assert "docker login" in ran.stderr
        _pushed(project, registry.name("app:1"), env={"DOCKER_CONFIG": str(tmp_path / "docker")})
        assert registry.manifest("app:1")


def test_a_failed_build_pushes_nothing(project: Project, registry: Registry) -> None:
    _tagged(project, registry.name("app:1"))
    text = project.read("imgbake.toml")
    project.recipe(text + '[images.bad]\nbase = "oci:missing"\ntargets = ["t"]\n')
    ran = project.run("build", "--push", "-k", "--format", "json")
    assert ran.code == 1 and ran.json["pushed"] == []
    assert registry.requests == ()


def test_an_image_without_tags_cant_be_pushed(project: Project) -> None:
    ran = _refused(project)
    assert "app@t has no tags to push to" in ran.stderr and "tags = [" in ran.stderr


def test_a_registry_that_is_not_there(project: Project) -> None:
    assert "127.0.0.1:1" in _refused(project, "127.0.0.1:1/app:1").stderr


def test_what_was_pushed_is_a_base(project: Project, registry: Registry, tmp_path: Path) -> None:
    _pushed(project, registry.name("app:1"), more='compression = "zstd"')
    other = Project(tmp_path / "other")
    other.root.mkdir()
    other.recipe(f'[images.x]\nbase = "{registry.name("app:1")}"\nlabels = {{ a = "b" }}\n')
    other.build()
    assert baked(other, "x").layers() == baked(project, target="t").layers()


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry on a free port."""
    with docker_registry(tmp_path) as host:
        yield host


def test_debians_registry_takes_it_and_skopeo_reads_it_there(project: Project, debian: str) -> None:
    more = 'platforms = ["linux/amd64", "linux/arm64"]'
    image = _pushed(project, f"{debian}/shop/app:1", f"{debian}/shop/app:2", more=more)
    for tag in ("1", "2"):
        seen = subprocess.run(
            [program("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{debian}/shop/app:{tag}"],
            capture_output=True,
        )  # fmt: skip
        assert seen.returncode == 0, seen.stderr
        assert seen.stdout == image.blob(image.root["digest"])


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_docker_pulls_what_was_pushed(project: Project, debian: str, compression: str) -> None:
    docker("info")
    name = f"{debian}/shop/app:1"
    image = _pushed(project, name, more=f'compression = "{compression}"\nannotations = {{ a = "b" }}')
    try:
        assert image.root["digest"] in docker("pull", name)
        (seen,) = json.loads(docker("inspect", name))
        assert seen["RootFS"]["Layers"] == image.config()["rootfs"]["diff_ids"]
    finally:
        docker("rmi", "--force", name)
