"""Whatever stands in a folder comes out of its layer: random trees, against what tar extracts."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.testing.project import Project
from imgbake_oci.tests.baked import Member, baked, folder, layer_of, symlink, tar_of, write_layout

names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..", ".git", ".imgbake") and not name.startswith(".wh."))
leaves = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=3000), st.sampled_from([0o644, 0o755, 0o600, 0o4755])),
    st.tuples(st.just("link"), st.sampled_from(["..", "x/y", "/etc/passwd", "dangling", "ü"])),
    st.tuples(st.just("twin")),  # one more name of the file before
)
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=4),
    lambda inner: st.dictionaries(names, st.one_of(leaves, inner), max_size=4),
    max_leaves=12,
)


def _write(tree: dict[str, Any], root: Path, files: list[Path]) -> None:
    root.mkdir()
    for name, what in tree.items():
        path = root / name
        if isinstance(what, dict):
            _write(what, path, files)
        elif what[0] == "link":
            path.symlink_to(what[1])
        elif what[0] == "twin" and files:
            os.link(files[-1], path)
        elif what[0] == "file":
            path.write_bytes(what[1])
            path.chmod(what[2])
            files.append(path)


def _seen(root: Path) -> dict[str, Any]:
    """What stands in a folder, with permissions as layers have them, and names of one file as one."""
    found: dict[str, Any] = {}
    first: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        stats = path.lstat()
        name = str(path.relative_to(root))
        if stat.S_ISLNK(stats.st_mode):
            found[name] = str(path.readlink())
        elif stat.S_ISDIR(stats.st_mode):
            found[name] = "folder"
        else:
            mode = (0o755 if stats.st_mode & 0o100 else 0o644) | stats.st_mode & 0o7000
            found[name] = (mode, path.read_bytes(), first.setdefault(stats.st_ino, name))
    return found


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_a_folder_is_in_its_layer_what_it_is_on_disk(project: Project, tmp_path: Path, tree: Any) -> None:
    shutil.rmtree(project.root / "data", ignore_errors=True)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    files: list[Path] = []
    _write(tree, project.root / "data", files)
    if not any((project.root / "data").iterdir()):
        return
    image = layer_of(project, '{ from = "data", to = "/srv/x" }')
    with tarfile.open(fileobj=io.BytesIO(image.tar())) as tar:
        tar.extractall(tmp_path / "out", filter="fully_trusted")
    assert _seen(tmp_path / "out/srv/x") == _seen(project.root / "data")


def test_many_whiteouts_over_many_folders_take_little_time(project: Project) -> None:
    many = [folder(f"usr/{number}") for number in range(6_000)]
    gone = [Member(f"usr/.wh.{number}") for number in range(0, 6_000, 2)]
    write_layout(project.root / "base", {"": [tar_of(*many), tar_of(*gone)]})
    project.write("tool", "x")
    project.recipe(
        '[components.c]\nfiles = [{ from = "tool", to = "/usr/3/tool" },'
        ' { from = "tool", to = "/usr/4/tool" }]\n'
        '[images.app]\nbase = "oci:base"\ncomponents = ["c"]\n'
    )
    project.build()
    assert set(baked(project).files()) == {"usr/3/tool", "usr/4/tool"}


PATHS = ["/a", "/a/b", "/a/b/c", "/link/x", "/link/deep/x", "/d/e"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(copies=st.lists(st.tuples(st.sampled_from(["f", "g", "t", "u"]), st.sampled_from(PATHS)), max_size=4))
def test_copies_over_a_base_are_what_cp_would_make_or_an_error(
    project: Project, tmp_path: Path, copies: list[tuple[str, str]]
) -> None:
    """The layers, extracted one over the other, are the base with everything copied into it by `cp`."""
    base = tar_of(folder("real"), folder("real/deep"), symlink("link", "real"), folder("d", 0o750, 5, 5))
    for path in ("base", "expected", "out"):
        shutil.rmtree(project.root / path, ignore_errors=True)
    write_layout(project.root / "base", {"": [base]})
    for name, text in {"f": "f", "g": "g", "t/x": "t", "t/y/z": "t", "u/x/y": "u"}.items():
        project.write(name, text)
    lines = ", ".join(f'{{ from = "{source}", to = "{to}" }}' for source, to in copies)
    project.recipe(
        f'[components.c]\nfiles = [{lines}]\n[images.app]\nbase = "oci:base"\ncomponents = ["c"]\n'
    )
    ran = project.run("build")
    expected, out = project.root / "expected", project.root / "out"
    _extract(base, expected)
    if not all(_cp(project.root, source, to, expected) for source, to in copies):
        assert ran.code == 1 and "Traceback" not in ran.stderr, "cp refuses what we accept"
        return
    assert ran.code == 0, ran.stderr
    for number in range(len(baked(project).layers())):
        _extract(baked(project).tar(number), out)
    assert _seen(out) == _seen(expected)
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o750


def _extract(tar: bytes, to: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        opened.extractall(to, filter="fully_trusted")


def _cp(root: Path, source: str, to: str, rootfs: Path) -> bool:
    """Copies as `cp` does; False when it can't."""
    goal = rootfs / to.lstrip("/")
    if subprocess.run(["mkdir", "--parents", goal.parent], capture_output=True).returncode:
        return False
    command = ["cp", "--recursive", "--no-target-directory", str(root / source), str(goal)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)
