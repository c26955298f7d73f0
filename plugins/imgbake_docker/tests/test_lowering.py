"""What a blueprint is lowered to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgbake.api import Artifact, BakeError, CacheFolder, Healthcheck, ImageConfig, Layer, Setup
from imgbake.testing import golden
from imgbake.testing.blueprints import copied
from imgbake.testing.project import Project
from imgbake_docker.options import Builder, Options
from imgbake_docker.target import Docker
from imgbake_docker.tests.blueprints import DIGEST, blueprint

GOLDEN = Path(__file__).parent / "golden"


def lower(*layers: Layer, options: Options | None = None, **more: object) -> dict[str, str]:
    return Docker(options or Options()).lower(blueprint(*layers, **more)).documents  # type: ignore[arg-type]


def test_components_become_stages() -> None:
    layers = (
        Layer("runtime", build=("apt-get update", "apt-get install -y \\\n  libpq5")),
        Layer(
            "app",
            files=(
                copied("/opt/wheels/", "shop.whl"),
                copied("/etc/shop.toml", "", mode=0o640, owner=(1000, 1000)),
                copied("/srv/", "site.zip", unpack=True, exclude=("*.map",)),
            ),
            env={"MODE": "production"},
            build=("pip install /opt/wheels/*.whl",),
            validate=("shop --version",),
            test=("shop selftest",),
        ),
    )
    golden.compare(GOLDEN / "components", lower(*layers, config=ImageConfig(entrypoint=("shop",))))


def test_commands_run_where_and_as_whom_the_component_says() -> None:
    setup = Setup(
        user="app:app",
        workdir="/srv/app",
        shell=("/bin/bash", "-ec"),
        network="none",
        caches=(CacheFolder("/root/.cache"), CacheFolder("/var/cache/apt", shared=True)),
        secrets=("token",),
    )
    golden.compare(GOLDEN / "setup", lower(Layer("Build.Tools", build=('echo "$HOME"',), setup=setup)))


def test_the_configuration_comes_last() -> None:
    config = ImageConfig(
        entrypoint=("/bin/sh", "-c", 'echo "$0"'),
        cmd=(),
        env={"PRICE": '5$ "or" \\more'},
        user="app",
        workdir="/srv/my app",
        ports=("80/tcp", "53/udp"),
        volumes=("/data", "/with $ign"),
        labels={"org.example.title": "shop"},
        stop_signal="SIGINT",
        healthcheck=Healthcheck(
            ("CMD", "shop", "ping"), interval=90, timeout=1.5, start_period=0.25, retries=3
        ),
    )
    options = Options(labels={"team": "a b"}, platforms=("linux/arm64",))
    golden.compare(GOLDEN / "config", lower(config=config, options=options))


@pytest.mark.parametrize(
    ("base", "line"),
    [
        (Artifact("container", reference="scratch"), "FROM scratch"),
        (Artifact("container", DIGEST, "python"), f"FROM python@{DIGEST}"),
        (Artifact("container", DIGEST, f"quay.io/a/b:1@{DIGEST}"), f"FROM quay.io/a/b:1@{DIGEST}"),
        (Artifact("container", DIGEST, "oci:base"), f"FROM imgbake-base:{'ab' * 16}"),
        (Artifact("container", DIGEST, "docker-archive:b.tar"), f"FROM imgbake-base:{'ab' * 16}"),
        (
            Artifact("container", DIGEST, "docker-daemon:parent:latest", {"image_id": DIGEST}),
            f"FROM imgbake-base/shop-container:{'ab' * 16}",
        ),
    ],
)
def test_a_base_is_one_exact_image(base: Artifact, line: str) -> None:
    documents = lower(config=ImageConfig(cmd=("a",)), base=base)
    assert line.replace("python@", "python:latest@") in documents["Dockerfile"].replace(
        "python@", "python:latest@"
    )


def test_only_content_decides_what_is_copied() -> None:
    assert "src/" not in "".join(lower(Layer("app", (copied("/a/", "b"),))).values())


@pytest.mark.parametrize(
    ("layers", "more", "message"),
    [
        ([], {"config": ImageConfig(annotations={"a": "b"})}, "no `annotations`"),
        ([], {"config": ImageConfig(labels={"a": "b\nc"})}, "label a holds a line break"),
        ([Layer("app", env={"A": "b\nc"})], {}, "component 'app': the variable A holds a line break"),
        ([], {"config": ImageConfig(healthcheck=Healthcheck(("CMD-SHELL", "a\nb")))}, "healthcheck"),
        ([], {"base": Artifact("container", reference="scratch")}, "image 'shop' is empty"),
    ],
)
def test_what_a_dockerfile_cannot_say_is_refused(
    layers: list[Layer], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(BakeError, match=message) as caught:
        lower(*layers, **more)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("builder", "setup", "key"),
    [
        ("classic", Setup(caches=(CacheFolder("/c"),)), "caches"),
        ("classic", Setup(secrets=("token",)), "secrets"),
        ("classic", Setup(processes=5), "limits.processes"),
        ("buildkit", Setup(memory=1 << 30), "limits.memory"),
        ("buildkit", Setup(cpus=1.5), "limits.cpus"),
    ],
)
def test_what_a_builder_has_not_is_refused(builder: Builder, setup: Setup, key: str) -> None:
    with pytest.raises(BakeError, match=f"component 'app' asks for `{key}`") as caught:
        lower(Layer("app", build=("true",), setup=setup), options=Options(builder=builder))
    assert "oci" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"tags": ("a@b",)}, "tags"),
        ({"platforms": ("linux",)}, "platforms"),
        ({"platforms": ("linux/amd64", "linux/arm64")}, "platforms"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, tuple[str, ...]], key: str) -> None:
    with pytest.raises(ValueError, match=f"`{key}`"):
        Options(**options)  # type: ignore[arg-type]  # tuples all of them


@pytest.mark.parametrize(
    "target",
    [
        'uses = "docker"\ntags = ["shop:1"]',
        'uses = "kaniko"\ntags = ["shop:1"]',
        'uses = "kaniko"\nregistry = "r.example.com"\nproject = "shop"',
    ],
)
def test_two_images_of_one_name_are_refused(tmp_path: Path, target: str) -> None:
    project = Project(tmp_path / "project")
    images = "".join(
        f'[images.{name}]\nbase = "scratch"\nlabels = {{ a = "{name}" }}\ntargets = ["t"]\n' for name in "ab"
    )
    project.recipe(f"[targets.t]\n{target}\n{images}")
    ran = project.run("check")
    assert ran.code == 2 and "image:b@t would take the name" in ran.stderr, ran.stderr
    assert " from image:a@t at imgbake.toml:" in ran.stderr
    project.recipe(
        f"[targets.t]\n{target}\n{images}".replace('tags = ["shop:1"]', "").replace('project = "shop"', "")
    )
    assert "would take" not in project.run("check").stderr


@pytest.mark.parametrize("target", ['uses = "docker"', 'uses = "kaniko"\nregistry = "r.example.com"'])
def test_an_image_that_can_have_no_name_is_refused_where_it_stands(tmp_path: Path, target: str) -> None:
    name = f"{'a' * 98}.."  # no repository's, and too long where it is spelt out instead
    project = Project(tmp_path / "project")
    project.recipe(f'[targets.t]\n{target}\n[images."{name}"]\nbase = "scratch"\ntargets = ["t"]\n')
    ran = project.run("check")
    line = 2 + target.count("\n") + 1
    assert ran.code == 2 and f"imgbake.toml:{line}:9: image:{name}@t can't be kept" in ran.stderr, ran.stderr
    tag = 'tags = ["shop:1"]'
    project.recipe(project.read("imgbake.toml").replace(target, f"{target}\n{tag}"))
    assert project.run("check").code == 0
