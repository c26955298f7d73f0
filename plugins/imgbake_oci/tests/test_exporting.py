"""`imgbake export`: images as layouts, archives, and what docker loads."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import digest
from imgbake.testing.project import Project, Ran
from imgbake_oci import layouts
from imgbake_oci.tests.baked import Baked, baked, docker, program

FORMS = ("oci", "oci-archive", "docker-archive")
RECIPE = """
[components.app]
files = [{ from = "tool", to = "/usr/bin/tool", mode = "0755" }]
env = { A = "1" }

[images.App]
base = "scratch"
components = ["app"]
entrypoint = ["/usr/bin/tool"]
labels = { team = "shop" }
"""


@pytest.fixture
def app(project: Project) -> Project:
    project.recipe(RECIPE)
    project.write("tool", "#!/bin/sh\n")
    project.build()
    return project


def _export(project: Project, to: Path | str, form: str = "", name: str = "App") -> Ran:
    return project.run("export", name, "-o", str(to), *(["--format", form] if form else []))


def _exported(project: Project, to: Path, form: str = "", name: str = "App") -> Path:
    ran = _export(project, to, form, name)
    assert ran.code == 0, ran.stderr
    target = name.partition("@")[2] or "oci"
    assert ran.stdout == f"{to}  {baked(project, name.partition('@')[0], target).root['digest']}\n"
    return to


def _refused(project: Project, to: Path | str, form: str = "") -> str:
    ran = _export(project, to, form)
    assert ran.code in (1, 2) and "Traceback" not in ran.stderr, ran.stderr
    assert "error:" in ran.stderr
    return ran.stderr


def _members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]


def test_a_layout_is_the_default(app: Project, tmp_path: Path) -> None:
    image = Baked(_exported(app, tmp_path / "out/deep/image"))
    assert image.root["digest"] == baked(app, "App").root["digest"]
    assert image.files() == {"usr/bin/tool": "#!/bin/sh\n"}
    assert {path.name for path in image.folder.parent.iterdir()} == {"image"}, "something half made is left"


def test_a_layout_replaces_another(app: Project, tmp_path: Path) -> None:
    to = _exported(app, tmp_path / "image")
    app.write("tool", "new")
    app.build()
    image = Baked(_exported(app, to))
    assert image.files() == {"usr/bin/tool": "new"}
    assert len(list((to / "blobs/sha256").iterdir())) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"image", "project"}


def test_a_layout_is_never_absent_while_another_takes_its_place(
    app: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = tmp_path / ".ours", tmp_path / ".theirs"
    ours.mkdir()
    theirs.mkdir()
    if not layouts._exchanged(ours, theirs):
        pytest.skip("this file system exchanges no folders")
    to = _exported(app, tmp_path / "layout")
    before = (to / "index.json").read_bytes()
    app.write("tool", "changed")
    app.build()
    moved = Path.rename

    def and_killed(path: Path, target: Path) -> None:
        moved(path, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", and_killed)
    _export(app, to)
    assert (to / "index.json").read_bytes() != before
    assert not list(tmp_path.glob(".layout.*"))


def test_a_layout_into_an_empty_folder_and_through_a_symlink(app: Project, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for _ in range(2):
        _exported(app, tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert Baked(tmp_path / "real").files() == {"usr/bin/tool": "#!/bin/sh\n"}


def test_what_is_no_layout_is_left_alone(app: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious").write_text("x")
    assert "is no OCI layout" in _refused(app, tmp_path / "mine")
    assert "is no OCI layout" in _refused(app, tmp_path / "mine/precious")
    assert (tmp_path / "mine/precious").read_text() == "x"
    for form in FORMS[1:]:
        assert "is a folder" in _refused(app, tmp_path / "mine", form)


def test_a_layout_of_several_images_is_left_alone(app: Project, tmp_path: Path) -> None:
    to = _exported(app, tmp_path / "image")
    index = json.loads((to / "index.json").read_text())
    index["manifests"] *= 2
    (to / "index.json").write_text(json.dumps(index))
    assert "a layout of several images, which would be lost" in _refused(app, to)


@pytest.mark.parametrize("form", FORMS)
def test_a_path_that_cant_be_written_is_an_error(app: Project, tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text("x")
    _refused(app, tmp_path / "file/below", form)
    _refused(app, "/proc/imgbake", form)
    _refused(app, "/", form)


@pytest.mark.parametrize("form", ["", *FORMS])
def test_a_path_is_relative_to_where_we_are(app: Project, form: str) -> None:
    ran = _export(app, "out", form)
    assert ran.code == 0 and ran.stdout.startswith(f"{app.root}/out  sha256:")
    assert (app.root / "out").exists()


def test_an_unknown_form_or_image_is_an_error(app: Project, tmp_path: Path) -> None:
    assert "did you mean 'oci-archive'" in _refused(app, tmp_path / "x", "oci-archiv")
    ran = _export(app, tmp_path / "x", name="Ap")
    assert ran.code == 2 and "App" in ran.stderr


@pytest.mark.parametrize("form", FORMS[1:])
def test_archives_are_the_same_bytes_each_time(app: Project, tmp_path: Path, form: str) -> None:
    one = _exported(app, tmp_path / "one.tar", form).read_bytes()
    shutil.rmtree(app.root / ".imgbake")
    app.build()
    assert _exported(app, tmp_path / "two.tar", form).read_bytes() == one
    assert _exported(app, tmp_path / "two.tar", form).read_bytes() == one  # over itself
    assert {path.name for path in tmp_path.iterdir()} == {"one.tar", "two.tar", "project"}


def test_an_archive_is_a_layout_in_a_tar(app: Project, tmp_path: Path) -> None:
    path = _exported(app, tmp_path / "app.tar", "oci-archive")
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    image = Baked(tmp_path / "out")
    assert image.root["digest"] == baked(app, "App").root["digest"]
    assert image.files() == {"usr/bin/tool": "#!/bin/sh\n"}
    inspected = subprocess.run(
        [program("skopeo"), "inspect", f"oci-archive:{path}"], capture_output=True, text=True
    )
    assert inspected.returncode == 0, inspected.stderr


def test_what_was_exported_is_a_base(app: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    other.root.mkdir()
    for form in FORMS:
        _exported(app, other.root / "base", form)
        other.recipe(f'[images.x]\nbase = "{form}:base"\n')
        other.build()
        assert baked(other, "x").files() == {"usr/bin/tool": "#!/bin/sh\n"}
        path = other.root / "base"
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_docker_archive_names_the_image(app: Project, tmp_path: Path) -> None:
    members = _members(_exported(app, tmp_path / "app.tar", "docker-archive"))
    (listed,) = json.loads(members["manifest.json"])
    assert listed["RepoTags"] == ["app:latest"]
    assert [digest.of_bytes(members[layer]) for layer in listed["Layers"]] == baked(app, "App").layers()
    config = json.loads(members[listed["Config"]])
    assert config["config"]["Entrypoint"] == ["/usr/bin/tool"]


def _tagged(project: Project, tags: str, more: str = "") -> None:
    project.recipe(RECIPE + f'targets = ["t"]\n[targets.t]\nuses = "oci"\ntags = {tags}\n{more}\n')
    project.build()


def test_a_docker_archive_has_the_targets_tags(app: Project, tmp_path: Path) -> None:
    _tagged(app, '["shop", "localhost:5000/a/shop:1", "docker.io/library/shop:2"]')
    path = _exported(app, tmp_path / "app.tar", "docker-archive", "App@t")
    members = _members(path)
    (listed,) = json.loads(members["manifest.json"])
    assert listed["RepoTags"] == ["shop:latest", "localhost:5000/a/shop:1", "shop:2"]
    of_containerd = [each["annotations"] for each in json.loads(members["index.json"])["manifests"]]
    assert [each["io.containerd.image.name"] for each in of_containerd] == [
        "docker.io/library/shop:latest",
        "localhost:5000/a/shop:1",
        "docker.io/library/shop:2",
    ]


def test_a_docker_archive_of_several_platforms_has_the_one_of_this_machine(
    app: Project, tmp_path: Path
) -> None:
    _tagged(app, "[]", 'platforms = ["linux/s390x", "linux/arm64", "linux/amd64"]')
    path = _exported(app, tmp_path / "app.tar", "docker-archive", "App@t")
    members = _members(path)
    (listed,) = json.loads(members["manifest.json"])
    config = json.loads(members[listed["Config"]])
    import platform

    assert config["architecture"] == {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    index = Baked(_exported(app, tmp_path / "image", "oci", "App@t"))
    assert [index.config(number)["architecture"] for number in range(3)] == ["s390x", "arm64", "amd64"]


@pytest.mark.parametrize("form", ["gzip", "none"])
def test_docker_loads_it(app: Project, tmp_path: Path, form: str) -> None:
    docker("info")
    name = f"imgbake-test-{os.getpid()}"
    _tagged(app, f'["{name}:1"]', f'compression = "{form}"')
    path = _exported(app, tmp_path / "app.tar", "docker-archive", "App@t")
    try:
        assert f"Loaded image: {name}:1" in docker("load", "--input", str(path))
        (seen,) = json.loads(docker("inspect", f"{name}:1"))
        config: Any = seen["Config"]
        assert (config["Entrypoint"], config["Env"], config["Labels"]) == (
            ["/usr/bin/tool"], ["A=1"], {"team": "shop"}
        )  # fmt: skip
        assert seen["RootFS"]["Layers"] == baked(app, "App", "t").config()["rootfs"]["diff_ids"]
        docker("create", "--name", name, f"{name}:1")
        copied = subprocess.run(
            [program("docker"), "cp", f"{name}:/usr/bin/tool", "-"], capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(copied.stdout)) as tar:
            assert (tar.getmember("tool").mode & 0o777, tar.getmember("tool").size) == (0o755, 10)
    finally:
        docker("rm", "--force", name)
        docker("rmi", "--force", f"{name}:1")


def test_what_is_not_up_to_date_is_not_exported(app: Project, tmp_path: Path) -> None:
    app.write("tool", "changed")
    stderr = _refused(app, tmp_path / "out")
    assert "image:App@oci is not up to date (tool changed" in stderr
    assert "`imgbake build App@oci` first" in stderr
    assert not (tmp_path / "out").exists()


def test_what_was_never_built_is_not_exported(project: Project, tmp_path: Path) -> None:
    project.recipe(RECIPE)
    project.write("tool", "x")
    assert "is not up to date (never built)" in _refused(project, tmp_path / "out")


def test_several_targets_need_a_name(app: Project, tmp_path: Path) -> None:
    app.recipe(RECIPE + 'targets = ["t", "oci"]\n[targets.t]\nuses = "oci"\n')
    app.build()
    ran = _export(app, tmp_path / "x")
    assert ran.code == 2 and "App@t" in ran.stderr and "App@oci" in ran.stderr


def test_changing_what_was_exported_does_not_spoil_later_builds(app: Project, tmp_path: Path) -> None:
    image = Baked(_exported(app, tmp_path / "image"))
    before = baked(app, "App").tar()
    path = image.path(image.layers()[0])
    path.chmod(0o644)
    path.write_bytes(b"spoilt")
    app.build()
    assert baked(app, "App").tar() == before
    assert Baked(_exported(app, tmp_path / "image")).tar() == before


@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive"])
def test_a_place_that_cannot_be_written_is_named_as_the_user_wrote_it(app: Project, form: str) -> None:
    message = _refused(app, "/proc/image", form)
    assert "error: can't export to /proc/image: " in message and "/proc/.image" not in message


def test_nobody_waits_for_an_image_at_the_output(app: Project) -> None:
    assert "is not exported to the output" in _refused(app, "-", "oci-archive")
    assert not (app.root / "-").exists()


def test_neither_a_device_nor_a_symlink_is_replaced(app: Project) -> None:
    os.mkfifo(app.root / "pipe")
    for path in ("pipe", "/dev/null"):
        assert "is neither a file nor a folder" in _refused(app, path, "oci-archive")
    (app.root / "link.tar").symlink_to("real.tar")
    _exported(app, app.root / "link.tar", "oci-archive")
    assert (app.root / "link.tar").is_symlink() and tarfile.is_tarfile(app.root / "real.tar")
