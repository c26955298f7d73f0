"""Images of components, baked by a BuildKit of the user's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance
from imgbake_buildkit.tests.conftest import OnBuildKit
from imgbake_docker.tests import test_same_as_oci as recipes
from imgbake_docker.tests import trees
from imgbake_docker.tests.projects import OnEngine, Put

APP = """
    [components.app]
    files = [{ from = "a.txt", to = "/srv/" }]
    build = ["test -e /srv/a.txt", "echo made > /made"]
    validate = ["echo x > /x", "grep x /x", "grep made /made"]
    test = ["echo y > /y", "grep y /y && ! test -e /x"]
    network = "none"

    [images.app]
    base = "BASE"
    components = ["app"]
    targets = ["bk"]
"""


def outcomes(project: OnBuildKit) -> dict[str, str]:
    """How the nodes of a build ended that are no bases."""
    return {node: how for node, how in project.build().outcomes().items() if not node.startswith("base:")}


@pytest.mark.parametrize(
    ("components", "keys"),
    [(recipes.FILES, ""), (recipes.COMMANDS, ""), (recipes.CONFIG, recipes.CONFIG_KEYS)],
    ids=["files", "commands", "config"],
)
def test_the_image_is_the_one_that_an_engine_bakes(
    tmp_path: Path, base: Path, engine: Any, buildkitd: str, components: str, keys: str
) -> None:
    project = OnEngine(tmp_path, base, engine, 'builder = "classic"')
    recipes.furnish(project)
    project.image(components, keys, '["docker", "bk"]')
    text = project.read("imgbake.toml")
    project.recipe(f'[targets.bk]\nuses = "buildkit"\nbuilder = "{buildkitd}"\n{text}')
    try:
        project.build()
        found = {}
        for target in ("docker", "bk"):
            to = project.root / f"{target}.tar"
            ran = project.run("export", f"app@{target}", "-o", str(to), "--format", "docker-archive")
            assert ran.code == 0, ran.stderr
            found[target] = trees.image(to)
    finally:
        project.clear()
    assert _unlinked(found["bk"][0]) == _unlinked(found["docker"][0])
    assert found["bk"][1] == found["docker"][1]


def _unlinked(tree: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """A tree in which the one link to a file of an earlier command is a copy, as BuildKit writes it."""
    return {path: entry[:4] if path in ("data/who", "data/hard") else entry for path, entry in tree.items()}


def test_it_is_baked_checked_kept_and_restored_without_an_engine(project: OnBuildKit) -> None:
    project.write("a.txt", "a")
    project.image(APP)
    assert outcomes(project) == {"image:app@bk": "ran", "test:app@bk": "ran"}
    assert outcomes(project) == {"image:app@bk": "cached", "test:app@bk": "cached"}
    (project.root / ".imgbake/images/app/bk/index.json").unlink()
    assert outcomes(project)["image:app@bk"] == "restored"
    project.write("a.txt", "b")
    assert outcomes(project) == {"image:app@bk": "ran", "test:app@bk": "ran"}


@pytest.mark.parametrize("phase", ["build", "validate", "test"])
def test_a_failing_command_is_named_with_its_component(project: OnBuildKit, phase: str) -> None:
    project.image(f"""
        [components.app]
        {phase} = ["echo about to fail", "exit 3"]
        network = "none"
        [images.app]
        base = "BASE"
        components = ["app"]
        targets = ["bk"]
    """)
    said = project.fail()
    assert "component 'app': `exit 3` exited with code 3" in said
    assert "about to fail" in said


def test_secrets_users_and_folders_are_those_of_the_component(project: OnBuildKit) -> None:
    project.image("""
        [args]
        token = { secret = true }
        [components.app]
        build = "grep -q s3cr3t /run/secrets/token; id -u > /data/w; pwd >> /data/w; cp /data/w /data/who"
        validate = "grep -q s3cr3t /run/secrets/token && test $(pwd) = /data"
        user = "1000"
        workdir = "/data"
        secrets = ["token"]
        network = "none"
        [components.place]
        build = "mkdir -m 0777 /data"
        network = "none"
        [components.last]
        build = 'test "$(cat /data/who)" = "$(printf "1000\\n/data")" && test $(id -u):$(pwd) = 0:/'
        network = "none"
        [images.app]
        base = "BASE"
        components = ["place", "app", "last"]
        targets = ["bk"]
    """)
    ran = project.run("build", "--progress", "plain", "--arg", "token=s3cr3t-value")
    assert ran.code == 0, ran.stderr
    assert "s3cr3t-value" not in ran.stderr + ran.stdout


def test_images_stand_on_each_other_whoever_baked_them(project: OnBuildKit) -> None:
    project.image("""
        [targets.oci]
        uses = "oci"
        [components.one]
        files = [{ from = "a.txt", to = "/one" }]
        [components.two]
        build = "cat /one > /two"
        network = "none"
        [components.three]
        build = "cat /one /two > /three"
        network = "none"
        [images.one]
        base = "BASE"
        components = ["one"]
        targets = ["oci"]
        [images.two]
        base = "image:one"
        components = ["two"]
        targets = ["bk"]
        [images.three]
        base = "image:two"
        components = ["three"]
        targets = ["bk"]
    """)
    project.write("a.txt", "a")
    assert outcomes(project) == {"image:one@oci": "ran", "image:two@bk": "ran", "image:three@bk": "ran"}


def test_several_platforms_are_an_index_that_is_pushed(project: OnBuildKit, registry: Put) -> None:
    host = registry(project.base, "busybox", "1").partition("/")[0]
    project.write("a.txt", "a")
    project.image(
        """
        [components.app]
        files = [{ from = "a.txt", to = "/srv/" }]
        [images.app]
        base = "scratch"
        components = ["app"]
        targets = ["bk"]
        """,
        f'platforms = ["linux/amd64", "linux/arm64"]\ntags = ["{host}/app:1"]',
    )
    assert project.run("build", "--push").code == 0
    assert platforms(project, "app") == ["linux/amd64", "linux/arm64"]
    project.recipe(f"""
        [targets.oci]
        uses = "oci"
        platforms = ["linux/arm64"]
        [images.above]
        base = "{host}/app:1"
        targets = ["oci"]
    """)
    assert project.run("build").code == 0


def test_what_it_has_not_is_refused_with_a_way_out(project: OnBuildKit) -> None:
    project.write("a.txt", "a")
    for keys, said in (
        ('limits = { memory = "1GB" }', "asks for `limits.memory`, which BuildKit has not"),
        ("timeout = 5", "asks for `timeout`, which BuildKit has not"),
    ):
        project.image(APP.replace('network = "none"', f'network = "none"\n    {keys}'))
        text = project.fail()
        assert said in text and "hint: leave it out" in text
    project.image(APP + '    annotations = { a = "b" }\n')
    assert "has no `annotations`" in project.fail()


def platforms(project: OnBuildKit, image: str) -> list[str]:
    """The platforms of the index that an image is."""
    folder = project.root / f".imgbake/images/{image}/bk"
    found = json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"]
    index = json.loads((folder / "blobs/sha256" / found.removeprefix("sha256:")).read_bytes())
    return [f"{each['platform']['os']}/{each['platform']['architecture']}" for each in index["manifests"]]


@pytest.fixture(scope="module")
def told(buildkitd: str) -> Any:
    """Tells the recipe of the conformance kit where the builder is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TEST_BUILDKIT", buildkitd)
        yield


@pytest.mark.usefixtures("told")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = """
        [targets.bk]
        uses = "buildkit"
        builder = "{{ env.TEST_BUILDKIT }}"

        [components.app]
        files = [{ from = "app.txt", to = "/srv/app.txt" }]

        [images.app]
        base = "scratch"
        components = ["app"]
        targets = ["bk"]
        labels = { a = "b" }
    """
    files: ClassVar[dict[str, str]] = {"app.txt": "hello"}
    interruptions: ClassVar[int] = 3


def test_an_image_can_be_looked_at_from_inside_finished_or_on_the_way(
    project: OnBuildKit, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write("a.txt", "a")
    project.image(APP)
    ran = project.run("shell", "app", "--", "cat", "/srv/a.txt", "/made")
    assert (ran.code, capfd.readouterr().out) == (0, "amade\n"), ran.stderr
    ran = project.run(
        "shell", "app", "--at", "app", "--", "sh", "-c", "cat /srv/a.txt; test -e /made || exit 3"
    )
    assert (ran.code, capfd.readouterr().out) == (3, "a"), ran.stderr
