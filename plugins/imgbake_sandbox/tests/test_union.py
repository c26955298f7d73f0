"""An upper folder that is thrown away, on disk as well."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from imgbake_sandbox import kernel, records
from imgbake_sandbox.failure import Failure
from imgbake_sandbox.records import Records
from imgbake_sandbox.union import Union


@pytest.fixture
def old_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tmpfs has no user attributes, and this folder is the working folder."""

    def setxattr(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", setxattr)
    for name in ("lower", "scratch/root", "scratch/points"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "scratch")
    return tmp_path


def spec(folder: Path, *more: tuple[str, str]) -> Records:
    return Records(records.encode([("lower", str(folder / "lower")), *more]))


def test_it_is_on_disk_where_it_cannot_be_in_memory_and_goes(old_kernel: Path) -> None:
    if os.geteuid():
        pytest.skip("mounts as root")
    (old_kernel / "work").mkdir()
    union = Union(spec(old_kernel, ("work", str(old_kernel / "work"))))
    union.mount("root", "points")
    try:
        (old_kernel / "scratch/root/made").mkdir()
        assert (old_kernel / "work/upper/made").is_dir()
    finally:
        kernel.detach(str(old_kernel / "scratch/root"))
    union.clear()
    assert list((old_kernel / "work").iterdir()) == []


def test_it_needs_a_folder_there(old_kernel: Path) -> None:
    with pytest.raises(Failure, match="this kernel needs a work folder"):
        Union(spec(old_kernel)).mount("root", "points")
