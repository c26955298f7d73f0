"""The layout that a build leaves: what others make of it, and how it survives."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from imgbake.api import digest
from imgbake.testing.project import Project
from imgbake_oci.tests.baked import Baked, Member, baked, folder, program, symlink, tar_of, write_layout

RECIPE = """
[components.app]
files = [
    { from = "data", to = "/srv/data", owner = "1000:1000" },
    { from = "tool", to = "/usr/bin/tool", mode = "0755" },
]

[images.app]
base = "oci:base"
components = ["app"]
entrypoint = ["/usr/bin/tool"]
"""
IMAGE = "image:app@oci"


@pytest.fixture
def app(project: Project) -> Project:
    """A project with an image on a base, built."""
    base = tar_of(
        folder("usr"), folder("usr/bin"), Member("usr/bin/sh", "#!", mode=0o755), symlink("bin", "usr/bin")
    )
    write_layout(project.root / "base", {"": [base]})
    project.recipe(RECIPE)
    project.write("data/a", "a")
    project.write("data/deep/b", "b" * 5000)
    (project.root / "data/link").symlink_to("a")
    os.link(project.root / "data/a", project.root / "data/twin")
    project.write("tool", "#!/bin/sh\n")
    project.build()
    return project


def _tree(root: Path) -> dict[str, Any]:
    """What stands in a folder: kind, permissions, content or target."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        kind = path.lstat()
        mode = stat.S_IMODE(kind.st_mode)
        name = str(path.relative_to(root))
        if stat.S_ISLNK(kind.st_mode):
            found[name] = str(path.readlink())
        elif stat.S_ISDIR(kind.st_mode):
            found[name] = mode
        else:
            found[name] = (mode, path.read_bytes())
    return found


def test_it_has_the_form_that_the_specification_says(app: Project) -> None:
    image = baked(app)
    assert json.loads((image.folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert {path.name for path in image.folder.iterdir()} == {"blobs", "index.json", "oci-layout"}
    index = json.loads((image.folder / "index.json").read_text())
    assert index["schemaVersion"] == 2
    assert image.root["annotations"]["org.opencontainers.image.ref.name"] == "latest"
    needed = [image.root, image.manifest()["config"], *image.manifest()["layers"]]
    assert {path.name for path in (image.folder / "blobs/sha256").iterdir()} == {
        each["digest"].removeprefix("sha256:") for each in needed
    }
    for each in needed:
        assert len(image.blob(each["digest"])) == each["size"]


def test_skopeo_reads_and_copies_it(app: Project, tmp_path: Path) -> None:
    skopeo, layout = program("skopeo"), f"oci:{baked(app).folder}"
    inspected = subprocess.run([skopeo, "inspect", layout], capture_output=True, text=True)
    assert inspected.returncode == 0, inspected.stderr
    seen = json.loads(inspected.stdout)
    assert seen["Digest"] == baked(app).root["digest"]
    assert seen["Layers"] == baked(app).layers()
    copied = subprocess.run(
        [skopeo, "copy", "--insecure-policy", layout, f"oci:{tmp_path}/copy:x"],
        capture_output=True,
        text=True,
    )
    assert copied.returncode == 0, copied.stderr
    assert Baked(tmp_path / "copy").root["digest"] == baked(app).root["digest"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_skopeo_reads_every_compression(app: Project, tmp_path: Path, compression: str) -> None:
    more = f'targets = ["t"]\n[targets.t]\nuses = "oci"\ncompression = "{compression}"\n'
    app.recipe(RECIPE + more)
    app.build()
    layout = f"oci:{baked(app, target='t').folder}"
    copied = subprocess.run(
        [program("skopeo"), "copy", "--insecure-policy", layout, f"dir:{tmp_path}/copy"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert copied.returncode == 0, copied.stderr


def test_umoci_unpacks_what_was_copied(app: Project, tmp_path: Path) -> None:
    unpacked = subprocess.run(
        [program("umoci"), "unpack", "--rootless", "--image", f"{baked(app).folder}:latest", tmp_path / "b"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert unpacked.returncode == 0, unpacked.stderr
    root = tmp_path / "b/rootfs"
    assert _tree(root) == {
        "bin": "usr/bin",
        "srv": 0o755,
        "srv/data": 0o755,
        "srv/data/a": (0o644, b"a"),
        "srv/data/deep": 0o755,
        "srv/data/deep/b": (0o644, b"b" * 5000),
        "srv/data/link": "a",
        "srv/data/twin": (0o644, b"a"),
        "usr": 0o755,
        "usr/bin": 0o755,
        "usr/bin/sh": (0o755, b"#!"),
        "usr/bin/tool": (0o755, b"#!/bin/sh\n"),
    }
    assert (root / "srv/data/twin").samefile(root / "srv/data/a")
    process = json.loads((tmp_path / "b/config.json").read_text())["process"]
    assert process["args"] == ["/usr/bin/tool"]


def test_blobs_are_the_stores_own_files(app: Project) -> None:
    store = Path(os.environ["XDG_CACHE_HOME"]) / "imgbake/blobs/sha256"
    for path in (baked(app).folder / "blobs/sha256").iterdir():
        assert path.samefile(store / path.name)
        assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_second_build_changes_nothing(app: Project) -> None:
    before = {path: _look(path) for path in baked(app).folder.rglob("*")}
    assert set(app.build().outcomes().values()) == {"cached"}
    assert {path: _look(path) for path in baked(app).folder.rglob("*")} == before
    app.build("--force")
    after = {path: _look(path) for path in baked(app).folder.rglob("*") if path.is_file()}
    assert after == {path: look for path, look in before.items() if path in after}


def _look(path: Path) -> tuple[int, int, int]:
    """What writing a file would change, and reading it doesn't."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def test_what_the_image_no_longer_needs_is_removed(app: Project) -> None:
    app.write("tool", "other")
    app.build()
    assert len(list((baked(app).folder / "blobs/sha256").iterdir())) == 4  # manifest, config, two layers


REMOVED = ["", "index.json", "oci-layout", "blobs", "manifest", "config", "layer"]


def _named(image: Baked, what: str) -> Path:
    digests = {
        "manifest": image.root["digest"],
        "config": image.manifest()["config"]["digest"],
        "layer": image.layers()[-1],
        "base layer": image.layers()[0],
    }
    return image.path(digests[what]) if what in digests else image.folder / what


@pytest.mark.parametrize("what", REMOVED)
def test_what_is_removed_is_put_back(app: Project, what: str) -> None:
    before = _tree(baked(app).folder)
    path = _named(baked(app), what)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert app.build().outcomes()[IMAGE] == "restored"
    assert _tree(baked(app).folder) == before
    assert set(app.build().outcomes().values()) == {"cached"}


@pytest.mark.parametrize("what", ["manifest", "config", "layer", "base layer"])
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied"])
def test_what_is_damaged_is_noticed_and_made_again(app: Project, what: str, how: str) -> None:
    before = _tree(baked(app).folder)
    path = _named(baked(app), what)
    data = path.read_bytes()
    spoilt = {"flipped": data[:20] + bytes([data[20] ^ 1]) + data[21:], "cut": data[:-1], "emptied": b""}[how]
    path.chmod(0o644)
    path.write_bytes(spoilt)
    path.chmod(0o444)
    assert app.build().outcomes()[IMAGE] == "ran"
    assert _tree(baked(app).folder) == before
    assert set(app.build().outcomes().values()) == {"cached"}


def test_an_index_that_was_changed_is_put_back(app: Project) -> None:
    before = _tree(baked(app).folder)
    (baked(app).folder / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    assert app.build().outcomes()[IMAGE] == "restored"
    assert _tree(baked(app).folder) == before


def test_a_store_that_is_deleted_costs_nothing_but_time(app: Project) -> None:
    before = _tree(baked(app).folder)
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    app.build()
    assert _tree(baked(app).folder) == before
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    app.build("--force")
    assert _tree(baked(app).folder) == before
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])
    shutil.rmtree(baked(app).folder)
    app.build()
    assert _tree(baked(app).folder) == before


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A store on another file system, to which nothing can be linked."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = shm / f"imgbake-test-{os.getpid()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def test_a_store_on_another_disk_is_copied_from_and_copies_are_watched(
    far_away: Path, project: Project
) -> None:
    try:
        project.recipe('[components.a]\nfiles = [{ from = "a", to = "/a" }]\n[images.app]\nbase = "scratch"\n'
                       'components = ["a"]\n')  # fmt: skip
        project.write("a", "a" * 5000)
        project.build()
        before = _tree(baked(project).folder)
        assert set(project.build().outcomes().values()) == {"cached"}
        for what in ("layer", "config", "manifest"):
            path = _named(baked(project), what)
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)
            path.chmod(0o444)
            assert project.build().outcomes()[IMAGE] == "restored", what
            assert _tree(baked(project).folder) == before
        _named(baked(project), "layer").unlink()
        assert project.build().outcomes()[IMAGE] == "restored"
        assert _tree(baked(project).folder) == before
    finally:
        shutil.rmtree(far_away)


def test_a_layout_folder_that_is_something_else_is_left_alone(project: Project) -> None:
    project.write("docs/index.json", "mine")
    project.recipe(
        '[targets.t]\nuses = "oci"\nlayout = "docs"\n[images.app]\nbase = "scratch"\ntargets = ["t"]\n'
    )
    ran = project.run("build")
    assert ran.code in (1, 2) and "is there, and is no OCI layout" in ran.stderr
    assert project.read("docs/index.json") == "mine"
    shutil.rmtree(project.root / "docs")
    (project.root / "docs").mkdir()
    project.build()
    project.build("--force")
    assert Baked(project.root / "docs").config()["os"] == "linux"


def test_digests_are_those_of_the_report(app: Project) -> None:
    ran = app.build()
    (node,) = [each for each in ran.json["nodes"] if each["node"] == IMAGE]
    artifact = node["artifact"]
    assert artifact["digest"] == baked(app).root["digest"]
    assert artifact["reference"] == "oci:.imgbake/images/app/oci"
    assert artifact["facts"]["layers"] == baked(app).layers()
    assert artifact["facts"]["platforms"] == ["linux/amd64"]
    assert digest.is_digest(artifact["digest"])
    assert f"app@oci  {artifact['digest']}  oci:.imgbake/images/app/oci" in app.run("build").stdout
