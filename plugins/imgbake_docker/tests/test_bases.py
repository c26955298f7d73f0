"""What images on the engine stand on."""

from __future__ import annotations

import subprocess
from typing import Any, cast

import pytest

from imgbake.api import Artifact, BakeError, RunContext
from imgbake_docker import bases
from imgbake_docker.naming import ID
from imgbake_docker.tests.projects import OnEngine, Put

LABELED = 'labels = { a = "b" }'


def test_scratch_is_a_base(project: OnEngine) -> None:
    project.write("file", "content")
    project.recipe(f"""
        [targets.docker]
        uses = "docker"
        tags = ["{project.name}:1"]
        {project.options}

        [components.app]
        files = [{{ from = "file", to = "/srv/file" }}]

        [images.bare]
        base = "scratch"
        components = ["app"]
        targets = ["docker"]
        {LABELED}
    """)
    project.build()
    assert project.baked()["Config"]["Labels"] == {"a": "b"}


def test_an_image_can_stand_on_another_that_the_engine_baked(project: OnEngine) -> None:
    project.image(
        """
        [components.parent]
        build = "echo parent > /parent"
        network = "none"
        """,
        f"""
        [targets.child]
        uses = "docker"
        tags = ["{project.name}-child:1"]
        {project.options}

        [components.child]
        build = "cat /parent > /child"
        network = "none"

        [images.child]
        base = "image:app"
        components = ["child"]
        targets = ["child"]
        """,
    )
    try:
        project.build()
        child = project.client.inspect_image(f"{project.name}-child:1")
        parent = project.baked()
        assert child["RootFS"]["Layers"][:-1] == parent["RootFS"]["Layers"]
        names = [name for each in (child, parent) for name in _names(project, each["Id"])]
        assert not [name for name in names if name.startswith(("imgbake-base/", "imgbake-stage:"))]
    finally:
        project.client.remove_image(f"{project.name}-child:1", force=True)


def test_what_has_failed_is_told_though_a_name_cannot_be_taken_back(engine: Any, project: OnEngine) -> None:
    project.image('[components.a]\nfiles = [{ from = "a", to = "/a" }]\n')
    project.write("a")
    project.build()
    base = Artifact("container", facts={ID: project.baked()["Id"]})
    name = f"{project.name}-meanwhile:1"
    with (
        pytest.raises(BakeError, match="what has failed"),
        bases.named(engine, base, name, "", cast(RunContext, None)),
    ):
        engine.remove_image(name)  # as somebody else may
        raise BakeError("what has failed")


def test_a_base_is_pulled_by_its_digest(project: OnEngine, registry: Put) -> None:
    project.image("", LABELED)
    reference = registry(project.base, "team/busybox", "1")
    text = project.read("imgbake.toml").replace(f"oci:{project.base}", reference)
    project.recipe(text)
    ran = project.build()
    assert project.baked()["Config"]["Labels"] == {"a": "b"}
    assert "FROM " + reference + "@sha256:" in project.run("lower", "app@docker").stdout
    assert ran.outcomes()["image:app@docker"] == "ran"


_SEVERAL = ["linux/amd64", "linux/arm64", "linux/s390x"]


def _for_platforms(
    project: OnEngine, registry: Put, platforms: list[str], targets: str, names: str
) -> tuple[str, str]:
    """Writes a recipe whose image `app` has these targets, on a base for these platforms in a registry.

    Returns the base's repository and digest.
    """
    base = registry(project.base, "team/busybox", "1").replace("busybox:1", f"{project.name}:1")
    project.write("file", "content")
    project.recipe(f"""
        {targets}
        [components.app]
        files = [{{ from = "file", to = "/srv/file" }}]

        [targets.oci]
        uses = "oci"
        tags = ["{base}"]
        platforms = {platforms}

        [images.base]
        base = "scratch"
        components = ["app"]
        targets = ["oci"]

        [images.app]
        base = "{base}"
        targets = {names}
        {LABELED}
    """)
    ran = project.run("build", "base", "--push", "--format", "json")
    digest = next(
        each["artifact"]["digest"] for each in ran.json["nodes"] if each["node"] == "image:base@oci"
    )
    return base.rpartition(":")[0], digest


def test_targets_of_one_engine_stand_on_one_base_for_several_platforms(
    project: OnEngine, registry: Put
) -> None:
    targets = f"""
        [targets.amd]
        uses = "docker"
        tags = ["{project.name}:1"]
        {project.options}
        platforms = ["linux/amd64"]

        [targets.arm]
        uses = "docker"
        tags = ["{project.name}:arm"]
        {project.options}
        platforms = ["linux/arm64"]
    """
    _for_platforms(project, registry, _SEVERAL, targets, '["amd", "arm"]')
    project.build("app")
    try:
        found = [project.client.inspect_image(f"{project.name}:{tag}") for tag in ("1", "arm")]
        assert [each["Architecture"] for each in found] == ["amd64", "arm64"]
    finally:
        project.client.remove_image(f"{project.name}:arm", force=True)


@pytest.mark.parametrize("others", [True, False])
def test_a_base_that_the_engine_holds_for_another_platform_is_taken_if_there_is_no_other(
    project: OnEngine, registry: Put, builder: str, others: bool
) -> None:
    if builder == "buildkit" and not others:
        pytest.skip("BuildKit itself builds for another platform only where `platforms` says so")
    platforms = _SEVERAL if others else ["linux/s390x"]
    target = f'[targets.docker]\nuses = "docker"\ntags = ["{project.name}:1"]\n{project.options}\n'
    repository, digest = _for_platforms(project, registry, platforms, target, '["docker"]')
    project.client.pull(repository, tag=digest, platform="linux/s390x")
    project.build("app")
    own = project.client.version()["Arch"]
    assert project.baked()["Architecture"] == (own if others else "s390x")


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_an_archive_is_a_base(project: OnEngine, form: str) -> None:
    archive = project.root / "base.tar"
    source = f"oci:{project.base}:latest"
    subprocess.run(["skopeo", "copy", "--quiet", source, f"{form}:{archive}:base:1"], check=True)
    project.image("", LABELED)
    project.recipe(project.read("imgbake.toml").replace(f"oci:{project.base}", f"{form}:base.tar"))
    project.build()
    assert project.baked()["Config"]["Env"][0] == "GREETING=hello"


def test_an_image_can_stand_on_one_that_was_assembled_without_an_engine(project: OnEngine) -> None:
    project.write("file", "content")
    project.image(
        """
        [components.child]
        build = "cat /srv/file > /child"
        network = "none"
        """,
        f"""
        [components.parent]
        files = [{{ from = "file", to = "/srv/file" }}]

        [images.parent]
        base = "oci:{project.base}"
        components = ["parent"]
        targets = ["oci"]
        """,
    )
    text = project.read("imgbake.toml")
    project.recipe(text.replace(f'base = "oci:{project.base}"', 'base = "image:parent"', 1))
    assert project.build().outcomes()["image:app@docker"] == "ran"


def test_what_only_the_engine_has_is_no_base_without_one(project: OnEngine) -> None:
    project.image(
        "",
        f"""
        {LABELED}

        [images.child]
        base = "image:app"
        targets = ["oci"]
        """,
    )
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and "docker-daemon:" in ran.stderr


def _names(project: OnEngine, image: str) -> list[str]:
    """The names that an image has on the engine, where others bake at the same time."""
    found = project.client.inspect_image(image)
    return [str(name) for name in found["RepoTags"] or ()]
