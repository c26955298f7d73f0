"""Layers are the same wherever and however they are made, and made only when they must be."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake_oci import layers, packing, unchanged
from imgbake_oci.compression import PIECE
from imgbake_oci.tests.baked import baked, layer_of

FILES = (
    '{ from = "data", to = "/srv", owner = "5:6" }, { from = "tool", to = "/usr/bin/tool", mode = "0755" }'
)


def _fill(root: Path, order: int = 0, mtime: int = 1_000_000_000) -> None:
    """Writes the same files in another order, with other times and a large one among them."""
    names = [f"data/{folder}/{name}" for folder in "abc" for name in ("x", "y", "grün", "n" * 120)]
    names.append("data/large")
    random.Random(order).shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 2 * PIECE + 17 if name == "data/large" else 300
        path.write_bytes(random.Random(name).randbytes(size))
        os.utime(path, (mtime, mtime))
    (root / "data/link").symlink_to("a/x")
    (root / "data/void").mkdir()
    os.link(root / "data/b/x", root / "data/b/again")
    (root / "tool").write_text("#!")


def _digests(project: Project, target: str = "") -> tuple[str, str]:
    """Of the image's only layer and its content."""
    image = layer_of(project, FILES, target)
    return image.layers()[0], image.config()["rootfs"]["diff_ids"][0]


def test_the_order_on_disk_times_umask_and_folder_decide_nothing(tmp_path: Path) -> None:
    found = set()
    for order, umask in enumerate((0o022, 0o077, 0o000)):
        before = os.umask(umask)
        try:
            project = Project(tmp_path / f"project {order}" / ("deep/" * order) / "p")
            project.root.mkdir(parents=True)
            _fill(project.root, order, 1_000_000_000 + order)
            _own_store(tmp_path / f"cache-{order}")
            found.add((*_digests(project), baked(project).root["digest"]))
        finally:
            os.umask(before)
    assert len(found) == 1


def _own_store(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)  # put back by the fixture `own_world`


@pytest.mark.parametrize("cpus", [1, 3, 16])
def test_the_number_of_cpus_decides_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: int
) -> None:
    _fill(project.root)
    expected = _digests(project)
    monkeypatch.setattr(packing, "available_cpus", lambda: cpus)
    _own_store(tmp_path / "other")
    shutil.rmtree(project.root / ".imgbake")
    assert _digests(project) == expected


def test_another_process_with_another_hash_seed_and_language_makes_the_same(
    project: Project, tmp_path: Path
) -> None:
    _fill(project.root)
    layer_of(project, FILES)
    expected = baked(project).root["digest"]
    shutil.rmtree(project.root / ".imgbake")
    environment = {
        "XDG_CACHE_HOME": str(tmp_path / "other"), "PYTHONHASHSEED": "77", "LC_ALL": "C", "TZ": "Asia/Tokyo"
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "imgbake", "build"],
        cwd=project.root, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_every_compression_has_the_same_content(project: Project) -> None:
    _fill(project.root)
    found = {}
    for form in ("gzip", "gzip:9", "zstd", "zstd:1", "none"):
        name, _, level = form.partition(":")
        found[form] = _compressed(project, name, f"level = {level}" if level else "")
    assert len({image[0] for image in found.values()}) == 5
    assert len({image[1] for image in found.values()}) == 1


def _compressed(project: Project, name: str, more: str = "") -> tuple[str, str, str]:
    """The digest of the layer, that of its content, and its media type."""
    layer_of(project, FILES, f'targets = ["t"]\n[targets.t]\nuses = "oci"\ncompression = "{name}"\n{more}')
    image = baked(project, target="t")
    image.tar()  # checks the diff id
    manifest = image.manifest()
    return image.layers()[0], image.config()["rootfs"]["diff_ids"][0], manifest["layers"][0]["mediaType"]


def test_media_types_say_the_compression(project: Project) -> None:
    project.write("data/x", "x")
    project.write("tool", "x")
    for name, suffix in (("gzip", "+gzip"), ("zstd", "+zstd"), ("none", "")):
        assert _compressed(project, name)[2] == f"application/vnd.oci.image.layer.v1.tar{suffix}"


def test_members_are_sorted_with_folders_first_and_say_no_more_than_they_must(project: Project) -> None:
    _fill(project.root)
    members = layer_of(project, FILES).members()
    paths = list(members)
    assert paths == sorted(paths)
    for path, member in members.items():
        parent = path.rpartition("/")[0]
        assert not parent or members[parent].isdir()
        assert (member.mtime, member.uname, member.gname) == (0, "", "")
    assert (members["usr"].uid, members["srv"].uid, members["srv/a/x"].gid) == (0, 5, 6)


def test_gnu_tar_finds_nothing_wrong(project: Project, tmp_path: Path) -> None:
    _fill(project.root)
    (tmp_path / "layer.tar").write_bytes(layer_of(project, FILES).tar())
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        ["tar", "--extract", "--file", tmp_path / "layer.tar", "--directory", out, "--no-same-owner"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    compared = subprocess.run(["diff", "--recursive", "--no-dereference", project.root / "data", out / "srv"])
    assert compared.returncode == 0
    assert (out / "srv/b/again").samefile(out / "srv/b/x")


TWO = """
[components.one]
files = [{ from = "one", to = "/opt/one" }]

[components.two]
files = [{ from = "two", to = "/opt/two" }]

[components.silent]
env = { A = "b" }

[images.app]
base = "scratch"
components = ["one", "silent", "two"]
"""


def test_each_component_that_copies_has_a_layer(project: Project) -> None:
    project.recipe(TWO)
    project.write("one", "1")
    project.write("two", "2")
    project.build()
    image = baked(project)
    assert [image.files(0), image.files(1)] == [{"opt/one": "1"}, {"opt/two": "2"}]
    assert len(image.layers()) == 2
    history = image.config()["history"]
    assert [entry.get("empty_layer", False) for entry in history] == [False, True, False]
    assert len(image.config()["rootfs"]["diff_ids"]) == 2


def test_only_the_layer_of_a_changed_component_is_made_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.recipe(TWO)
    project.write("one", "1")
    project.write("two", "2")
    project.build()
    before = baked(project).layers()
    made = _made(monkeypatch)
    project.write("two", "3")
    assert project.build().outcomes()["image:app@oci"] == "ran"
    after = baked(project).layers()
    assert made == ["two"]
    assert after[0] == before[0] and after[1] != before[1]


def test_images_that_are_baked_at_once_make_a_shared_layer_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("one", os.urandom(2 * PIECE))
    images = "".join(
        f'[images.i{number}]\nbase = "scratch"\ncomponents = ["one"]\nlabels = {{ n = "{number}" }}\n'
        for number in range(6)
    )
    project.recipe(f'[components.one]\nfiles = [{{ from = "one", to = "/opt/one" }}]\n{images}')
    made = _made(monkeypatch)
    project.build("-j", "6")
    assert made == ["one"]


def test_another_project_uses_the_layers_of_the_first(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.recipe(TWO)
    project.write("one", "1")
    project.write("two", "2")
    project.build()
    shutil.copytree(project.root, tmp_path / "clone", ignore=shutil.ignore_patterns(".imgbake"))
    made = _made(monkeypatch)
    Project(tmp_path / "clone").build()
    assert made == []
    assert baked(Project(tmp_path / "clone")).root == baked(project).root


def _made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The components whose layers are made from now on."""
    made: list[str] = []
    real = layers._make

    def make(layer, *rest):  # type: ignore[no-untyped-def]
        made.append(layer.component)
        return real(layer, *rest)

    monkeypatch.setattr(layers, "_make", make)
    return made


@pytest.mark.parametrize("size", [100, 3 * PIECE])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """It is changed after the plan looked at it: same size, other content."""
    path = project.write("data/x", b"a" * size)
    project.write("tool", "x")
    real = layers._copy

    def copy(member, packer, root):  # type: ignore[no-untyped-def]
        if member.source == "data/x":
            path.write_bytes(b"b" * size)
        real(member, packer, root)

    monkeypatch.setattr(layers, "_copy", copy)
    project.recipe(f'[components.c]\nfiles = [{FILES}]\n[images.app]\nbase = "scratch"\ncomponents = ["c"]\n')
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1
    assert "'data/x' changed while it was read" in ran.stderr
    monkeypatch.undo()
    project.build()
    assert baked(project).files()["srv/x"] == "b" * size


@pytest.mark.parametrize("new", [b"", b"longer than before", None])
def test_a_file_that_grows_shrinks_or_goes_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, new: bytes | None
) -> None:
    path = project.write("data/x", b"before")
    project.write("tool", "x")
    real = layers._copy

    def copy(member, packer, root):  # type: ignore[no-untyped-def]
        if member.source == "data/x":
            path.unlink() if new is None else path.write_bytes(new)
        real(member, packer, root)

    monkeypatch.setattr(layers, "_copy", copy)
    project.recipe(f'[components.c]\nfiles = [{FILES}]\n[images.app]\nbase = "scratch"\ncomponents = ["c"]\n')
    ran = project.run("build", "--progress", "plain")
    assert ran.code == 1 and "Traceback" not in ran.stderr
    assert "'data/x'" in ran.stderr
    assert not list(Path(os.environ["XDG_CACHE_HOME"]).rglob("layer-*")), "something half made is left"


def test_a_file_that_becomes_a_symlink_is_not_followed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("data/x", b"before")
    project.write("tool", "x")
    project.write("secret", "before")
    real = layers._copy

    def copy(member, packer, root):  # type: ignore[no-untyped-def]
        if member.source == "data/x":
            path.unlink()
            path.symlink_to("../secret")
        real(member, packer, root)

    monkeypatch.setattr(layers, "_copy", copy)
    project.recipe(f'[components.c]\nfiles = [{FILES}]\n[images.app]\nbase = "scratch"\ncomponents = ["c"]\n')
    assert project.run("build").code == 1


def test_files_older_than_the_process_are_not_hashed_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("data/x", b"content")
    project.write("data/large", bytes(2 * PIECE))
    project.write("tool", "x")

    def never(*_: object) -> bool:
        raise AssertionError("was hashed")

    monkeypatch.setattr(unchanged, "trusted_before", lambda: 1 << 62)
    monkeypatch.setattr(unchanged, "is_content", never)
    assert layer_of(project, FILES).files()["srv/x"] == "content"


def test_the_start_of_the_process_is_known_and_lies_in_the_past() -> None:
    import time

    age = time.time_ns() - unchanged.trusted_before()
    assert 0 < age < 3_600_000_000_000 * 24


@pytest.mark.slow
def test_a_huge_sparse_file_needs_little_memory(project: Project) -> None:
    project.write("data/x", b"")
    project.write("tool", "x")
    os.truncate(project.root / "data/x", 2 << 30)
    project.recipe(f'[components.c]\nfiles = [{FILES}]\n[images.app]\nbase = "scratch"\ncomponents = ["c"]\n')
    assert _peak(project) < 120 << 20


def test_a_large_file_needs_little_memory(project: Project) -> None:
    project.write("data/x", b"")
    project.write("tool", "x")
    os.truncate(project.root / "data/x", 200 << 20)
    project.recipe(f'[components.c]\nfiles = [{FILES}]\n[images.app]\nbase = "scratch"\ncomponents = ["c"]\n')
    assert _peak(project) < 100 << 20
    image = baked(project)
    assert image.manifest()["layers"][0]["size"] < 2 << 20
    with tarfile.open(image.path(image.layers()[0]), "r:gz") as tar:
        assert tar.getmember("srv/x").size == 200 << 20


def _peak(project: Project) -> int:
    """Builds in a process of its own, and returns the most memory that it used, in bytes."""
    program = (
        "import re\n"
        "from imgbake.cli import run\n"
        "code = run(['build'])\n"
        # maxrss would count the memory of pytest, which this process was forked from
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print('peak', peak, code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.root, capture_output=True, text=True, timeout=300
    )
    word, peak, code = done.stdout.splitlines()[-1].split()
    assert (word, code) == ("peak", "0"), done.stderr
    return int(peak) << 10


def test_the_epoch_is_in_every_time_and_is_noticed(project: Project) -> None:
    _fill(project.root)
    layer_of(project, FILES)
    before = baked(project).layers()
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    ran = project.build(env=epoch)
    assert ran.outcomes()["image:app@oci"] == "ran"
    image = baked(project)
    assert image.layers() != before
    assert {member.mtime for member in image.members().values()} == {1_700_000_000}
    assert image.config()["created"] == "2023-11-14T22:13:20Z"
    assert {entry["created"] for entry in image.config()["history"]} == {"2023-11-14T22:13:20Z"}
    assert image.manifest()["annotations"]["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"
    assert project.build(env=epoch).outcomes()["image:app@oci"] == "cached"
    project.build()
    assert baked(project).layers() == before


@pytest.mark.parametrize("epoch", ["yesterday", "-1", "1.5", "²", "99999999999999"])
def test_an_epoch_that_is_none_is_an_error(project: Project, epoch: str) -> None:
    project.write("data/x", "x")
    project.write("tool", "x")
    layer_of(project, FILES)
    ran = project.run("build", env={"SOURCE_DATE_EPOCH": epoch})
    assert ran.code in (1, 2), ran.stderr
    assert "SOURCE_DATE_EPOCH" in ran.stderr and "Traceback" not in ran.stderr
