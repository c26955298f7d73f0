"""Files as they stand on disk, for tools that are given all that a file's metadata says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbake.errors import BakeError
from imgbake.files.tree import Files


def test_permissions_are_whole_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "a").chmod(0o4750)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("a")
    found = Files(tmp_path).as_they_are(["a", "folder", "link", "absent"])
    assert [(e.path, e.kind, oct(e.mode)) for e in found.entries] == [
        ("a", "file", "0o4750"),
        ("folder", "dir", "0o700"),
        ("link", "symlink", "0o777"),
    ]


def test_each_name_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    found = Files(tmp_path).as_they_are(["a", "b"])
    assert {entry.kind for entry in found.entries} == {"file"}
    assert len({entry.digest for entry in found.entries}) == 1


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BakeError, match="pipe is not a file"):
        Files(tmp_path).as_they_are(["pipe"])
