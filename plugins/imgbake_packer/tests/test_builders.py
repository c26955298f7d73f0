"""Images that other builders of Packer make: of docker, by the real engine."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgbake.testing.project import Project
from imgbake_aws.tests.fixtures import missing
from imgbake_docker.tests.conftest import engine as engine
from imgbake_packer.tests.projects import outcome

NODE = "image:app@box"
APP = """
[components.app]
files = [{ from = "app.conf", to = "/etc/app.conf", mode = "0640", owner = "1000:1000" }]
env = { MODE = "production" }
build = ["echo built by $MODE >/etc/built"]
validate = "grep production /etc/built"
"""


@pytest.fixture
def box(tmp_path: Path, packer: str, engine: Any) -> Iterator[Project]:
    """A project whose image Packer makes of a busybox on the engine, of which nothing stays."""
    program = shutil.which("busybox")
    if program is None or shutil.which("docker") is None:
        missing("busybox or docker's command, which Packer runs, is not installed")
    name = f"imgbake-test-{uuid.uuid4().hex[:12]}"
    engine.import_image(src=str(_system(tmp_path / "system.tar", program)), repository=name, tag="1")
    project = Project(tmp_path / "project")
    project.write("app.conf", "a = 1\n")
    project.recipe(
        f'[targets.box]\nuses = "packer"\n[targets.box.builder]\ntype = "docker"\nimage = "{name}:1"\n'
        f'pull = false\ncommit = true\nchanges = ["LABEL made-of={name}"]\n{APP}'
        '[images.app]\nbase = { ami = "scratch" }\ncomponents = ["app"]\ntargets = ["box"]\n'
    )
    yield project
    for made in engine.images(filters={"label": f"made-of={name}"}, quiet=True):
        engine.remove_image(made, force=True)
    engine.remove_image(f"{name}:1", force=True)


def _system(archive: Path, program: str) -> Path:
    """A tar of busybox, with a link for each of its commands."""
    with tarfile.open(archive, "w") as tar:
        for name in ("bin", "etc", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        tar.add(program, "bin/busybox")
        for name in subprocess.check_output([program, "--list"], text=True).split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if name != "busybox":
                tar.addfile(link)
    return archive


def test_components_are_put_into_a_container(box: Project, engine: Any) -> None:
    ran = box.build()
    made = next(each["artifact"] for each in ran.json["nodes"] if each["node"] == NODE)
    assert made["reference"].startswith("sha256:")
    shown = 'stat -c "%a %u:%g" /etc/app.conf; cat /etc/app.conf /etc/built'
    container = engine.create_container(
        made["reference"], entrypoint=["sh", "-c", shown], network_disabled=True
    )
    try:
        engine.start(container)
        engine.wait(container)
        assert engine.logs(container).decode() == "640 1000:1000\na = 1\nbuilt by production\n"
    finally:
        engine.remove_container(container, force=True)
    assert outcome(box.build(), NODE) == "cached"


def test_a_command_that_fails_is_named_and_no_container_stays(box: Project, engine: Any) -> None:
    box.recipe(box.read("imgbake.toml").replace("grep production", "grep nothing"))
    ran = box.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "component 'app': validate: `grep nothing /etc/built` exited with code 1" in ran.stderr
    image = box.read("imgbake.toml").partition('image = "')[2].partition('"')[0]
    assert engine.containers(all=True, filters={"ancestor": image}) == []


def test_files_count_while_they_are_there(tmp_path: Path, packer: str) -> None:
    project = Project(tmp_path / "project")
    project.recipe(
        '[targets.box]\nuses = "packer"\nbuilder = { type = "file", content = "one", target = "out/disk" }\n'
        '[images.app]\nbase = { ami = "scratch" }\ntargets = ["box"]\n'
    )
    (project.root / "out").mkdir()
    first = project.build()
    (made,) = (each["artifact"] for each in first.json["nodes"] if each["node"] == NODE)
    assert made["facts"]["files"] == ["out/disk"] and project.read("out/disk") == "one"
    assert outcome(project.build(), NODE) == "cached"
    (project.root / "out/disk").unlink()
    assert outcome(project.build(), NODE) == "ran" and project.read("out/disk") == "one"
    project.recipe(project.read("imgbake.toml").replace("one", "two"))
    (again,) = (each["artifact"] for each in project.build().json["nodes"] if each["node"] == NODE)
    assert again["digest"] != made["digest"]
