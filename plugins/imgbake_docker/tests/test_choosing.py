"""Where buildx is looked for: where docker would find it, and without starting docker to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project
from imgbake_docker import choosing


def _program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No plugin but those of this test."""
    monkeypatch.setattr(choosing, "_PLUGINS", (str(tmp_path / "system"),))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))


def test_the_users_plugin_comes_before_the_systems(tmp_path: Path) -> None:
    assert not choosing.buildx()
    choosing._buildx.cache_clear()
    system = _program(tmp_path / "system/docker-buildx", "")
    assert choosing.buildx() == (system,)
    choosing._buildx.cache_clear()
    own = _program(tmp_path / "config/cli-plugins/docker-buildx", "")
    assert choosing.buildx() == (own,)


def test_docker_is_asked_for_what_stands_elsewhere(tmp_path: Path) -> None:
    docker = _program(tmp_path / "bin/docker", '[ "$1 $2" = "buildx version" ]')
    choosing._buildx.cache_clear()
    assert choosing.buildx() == (docker, "buildx")
    _program(tmp_path / "bin/docker", "exit 1")
    buildx = _program(tmp_path / "bin/buildx", "")
    choosing._buildx.cache_clear()
    assert choosing.buildx() == (buildx,)


@pytest.mark.parametrize(
    ("target", "image", "said"),
    [
        ('uses = "docker"', 'dockerfile = "Dockerfile"', "Dockerfile:2: RUN --mount: the engine's classic"),
        ('uses = "docker"', 'base = "scratch"\ncomponents = ["a"]', "asks for `caches`"),
        (
            'uses = "docker"\nbuilder = "buildkit"',
            'dockerfile = "Dockerfile"',
            "`docker buildx` is not installed",
        ),
        ('uses = "buildkit"', 'dockerfile = "Dockerfile"', "works through buildx, which is not installed"),
    ],
)
def test_a_plan_says_what_is_missing_here(tmp_path: Path, target: str, image: str, said: str) -> None:
    project = Project(tmp_path / "project")
    project.write("Dockerfile", "FROM scratch\nRUN --mount=type=cache,target=/c x\n")
    component = '[components.a]\nbuild = "x"\ncaches = ["/c"]\n'
    project.recipe(f'[targets.t]\n{target}\n{component}[images.app]\n{image}\ntargets = ["t"]\n')
    step = project.run("plan", "--format", "json").json[-1]
    assert step["action"] == "error" and said in step["why"][0]


GONE = "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server"
BOOTING = "------\n > [internal] booting buildkit:\n------\nERROR: Error response from daemon: no"


@pytest.mark.parametrize(
    ("target", "printed", "said"),
    [
        ('uses = "buildkit"\nbuilder = "ours"', GONE, "hint: did it end during the build?"),
        ('uses = "docker"', GONE, "hint: did it end during the build?"),
        (
            'uses = "buildkit"\nbuilder = "ours"',
            BOOTING,
            "the builder 'ours' can't be started: Error response",
        ),
    ],
)
def test_a_buildkit_that_ends_or_never_begins_is_told(
    tmp_path: Path, engine: object, target: str, printed: str, said: str
) -> None:
    _program(tmp_path / "bin/docker-buildx", f"echo '{printed}'; exit 1")
    choosing._buildx.cache_clear()
    project = Project(tmp_path / "project")
    project.write("Dockerfile", "FROM scratch\nLABEL a=b\n")
    image = 'dockerfile = "Dockerfile"\ncache_from = ["old"]\ntargets = ["t"]\n'
    project.recipe(f"[targets.t]\n{target}\n[images.app]\n{image}")
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and said in ran.stderr


@pytest.mark.parametrize(
    ("dockerfile", "keys", "is_posted"),
    [
        ("FROM scratch\nCOPY small /\n", "", True),
        ("# as it stands\n\nFROM scratch\nCOPY . /\n", "", True),
        ("FROM scratch AS unneeded\nLABEL a=b\nFROM scratch\nCOPY . /\n", "", False),
        ("FROM scratch AS unneeded\nLABEL a=b\nFROM scratch\nCOPY small /\n", "", True),
        ("FROM scratch AS unneeded\nLABEL a=b\nFROM scratch\nCOPY top/ /all/\n", "", False),
        ("FROM scratch\nCOPY large /\n", "", False),
        ("FROM scratch\nADD https://localhost:1/x /\n", "", False),
        ("FROM scratch\nRUN --mount=type=secret,id=optional true\n", "", False),
        ("FROM scratch\nLABEL a=b\n", 'cache_from = ["old"]', False),
        ("FROM imgbake-test-empty:1\nCOPY . /\n", "", True),
        ("FROM --platform=linux/s390x imgbake-test-empty:1\nLABEL a=b\n", "", False),
    ],
)
def test_a_small_build_is_posted_and_needs_no_session(
    tmp_path: Path, engine: Any, dockerfile: str, keys: str, is_posted: bool
) -> None:
    engine.import_image_from_data(b"\0" * 1024, repository="imgbake-test-empty", tag="1")
    _program(tmp_path / "bin/docker-buildx", "echo no session; exit 1")
    choosing._buildx.cache_clear()
    project = Project(tmp_path / "project")
    project.write("app/Dockerfile", dockerfile)
    project.write("app/small", "")
    project.write("app/large", "x" * (1 << 20 | 1))
    (project.root / "app/top").symlink_to(".")
    if "COPY . " in dockerfile:
        (project.root / "app/large").unlink()
    image = f'[images.app]\ndockerfile = "app/Dockerfile"\ntargets = ["t"]\n{keys}\n'
    project.recipe(f'[targets.t]\nuses = "docker"\n{image}')
    ran = project.run("build", "--progress", "plain")
    assert ran.code == (0 if is_posted else 1), ran.stderr
    assert ("no session" in ran.stderr) is not is_posted
    engine.remove_image("imgbake-test-empty:1")
