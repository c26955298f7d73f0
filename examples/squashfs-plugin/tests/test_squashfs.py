"""Through the command line, with the real mksquashfs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance
from imgbake.testing.project import Project

RECIPE = """
[targets.extension]
uses = "squashfs"
compression = "gzip"

[components.app]
files = [
    { from = "bin", to = "/usr/bin" },
    { from = "app.conf", to = "/etc/app.conf", mode = "0640", owner = "1000:100" },
]

[images.app]
base = "scratch"
components = ["app"]
targets = ["extension"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Project(tmp_path / "project")
    made.recipe(RECIPE)
    made.write("bin/app", "#!/bin/sh\n").chmod(0o755)
    (made.root / "bin/alias").symlink_to("app")
    made.write("app.conf", "a = 1\n")
    return made


@pytest.mark.usefixtures("mksquashfs")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = RECIPE
    files: ClassVar[dict[str, str]] = {"bin/app": "#!/bin/sh\n", "app.conf": "a = 1\n"}

    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared-cache"))


@pytest.mark.usefixtures("mksquashfs")
def test_the_image_holds_what_the_recipe_says(project: Project, tmp_path: Path) -> None:
    project.build()
    image = tmp_path / "app.squashfs"
    ran = project.run("export", "app", "-o", str(image))
    assert ran.code == 0, ran.stderr
    listed = subprocess.run(["unsquashfs", "-lln", image], check=True, capture_output=True, text=True).stdout
    found = [line.split()[:2] + line.split("squashfs-root")[1:] for line in listed.splitlines()[1:]]
    assert found == [
        ["drwxr-xr-x", "0/0", "/etc"],
        ["-rw-r-----", "1000/100", "/etc/app.conf"],
        ["drwxr-xr-x", "0/0", "/usr"],
        ["drwxr-xr-x", "0/0", "/usr/bin"],
        ["lrwxrwxrwx", "0/0", "/usr/bin/alias -> app"],
        ["-rwxr-xr-x", "0/0", "/usr/bin/app"],
    ]
    shown = subprocess.run(["unsquashfs", "-cat", image, "etc/app.conf"], check=True, capture_output=True)
    assert shown.stdout == b"a = 1\n"


@pytest.mark.usefixtures("mksquashfs")
def test_the_epoch_is_the_time_of_everything(project: Project, tmp_path: Path) -> None:
    project.build(env={"SOURCE_DATE_EPOCH": "1000000000"})
    image = tmp_path / "app.squashfs"
    project.run("export", "app", "-o", str(image), env={"SOURCE_DATE_EPOCH": "1000000000"})
    listed = subprocess.run(
        ["unsquashfs", "-lln", image],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout
    assert all("2001-09-09 01:46" in line for line in listed.splitlines())


@pytest.mark.usefixtures("mksquashfs")
def test_explain_names_the_option_that_changed(project: Project) -> None:
    project.build()
    project.recipe(RECIPE.replace("gzip", "xz"))
    assert "compression" in project.run("explain", "app").stdout


def test_without_mksquashfs_the_error_names_its_package(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "mksquashfs is not installed" in ran.stderr and "squashfs-tools" in ran.stderr


def test_commands_are_an_error_of_the_recipe(project: Project) -> None:
    project.recipe(RECIPE.replace("[components.app]", '[components.app]\nbuild = ["ldconfig"]'))
    ran = project.run("check")
    assert ran.code == 2 and "build" in ran.stderr


def test_another_base_than_scratch_is_refused(project: Project) -> None:
    project.recipe(RECIPE.replace('"scratch"', '"debian:12"'))
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and "starts from scratch, not from 'debian:12'" in ran.stderr
