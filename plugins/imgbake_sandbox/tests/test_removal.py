"""Folders of any depth and with any permissions are removed, and nothing that they link to."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake_sandbox.removal import remove_path
from imgbake_sandbox.tests.people import as_ordinary


def test_everything_below_is_removed_and_nothing_that_is_linked_to(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (outside / "inner").mkdir(parents=True)
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/c").write_bytes(b"")
    (folder / "a/out").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (tmp_path / "link").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    remove_path(folder)
    remove_path(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", "outside"]


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_path(tmp_path / "nothing")


def test_depth_does_not_matter(tmp_path: Path) -> None:
    _nest(tmp_path / "folder", 3000)
    remove_path(tmp_path / "folder")
    assert os.listdir(tmp_path) == []


def _nest(folder: Path, depth: int) -> None:
    """Makes a folder that is deeper than any path can say."""
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for number in range(depth):
        os.mkdir("d" * 20, dir_fd=at)
        if number % 100 == 0:
            os.close(os.open("f", os.O_CREAT, dir_fd=at))
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)


_CLOSED = """
import os, sys
from pathlib import Path
from imgbake_sandbox.removal import remove_path
folder = Path(sys.argv[1], "folder")
for inner in ("a/b/c", "a/d"):
    (folder / inner).mkdir(parents=True)
    (folder / inner / "file").touch()
for inner in ("a/b/c", "a/b", "a/d", "a", "."):
    (folder / inner).chmod(0)
remove_path(folder)
print(os.listdir(sys.argv[1]))
"""


def test_one_s_own_folders_are_removed_whatever_they_forbid(
    places: Callable[[], Path], ordinary: pwd.struct_passwd
) -> None:
    place = places()
    os.chown(place, ordinary.pw_uid, ordinary.pw_gid)
    done = as_ordinary(["-P", "-c", _CLOSED, str(place)], ordinary)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that others can't remove")
def test_others_folders_are_an_error(places: Callable[[], Path], ordinary: pwd.struct_passwd) -> None:
    place = places()
    (place / "folder/inner").mkdir(parents=True)
    code = "import sys; from pathlib import Path; from imgbake_sandbox.removal import remove_path; "
    done = as_ordinary(["-P", "-c", code + "remove_path(Path(sys.argv[1]))", str(place / "folder")], ordinary)
    assert "PermissionError" in done.stderr
    assert (place / "folder/inner").exists()
