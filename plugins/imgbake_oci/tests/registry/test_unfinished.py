"""Where uploads go on: one file for each, which belongs to who uploads."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from imgbake_oci.reference import parse
from imgbake_oci.registry import unfinished

SHOP = parse("registry.example.com/shop:1")
DIGEST = "sha256:" + "0" * 64


def test_a_place_is_there_after_a_failure_and_gone_after_success(tmp_path: Path) -> None:
    with pytest.raises(OSError), unfinished.place(tmp_path, SHOP, DIGEST) as place:
        place.write("https://registry.example.com/a/long/place")
        place.write("https://registry.example.com/a/place")
        raise OSError
    with unfinished.place(tmp_path, parse("registry.example.com/other"), DIGEST) as place:
        assert place.read() == ""
    with unfinished.place(tmp_path, SHOP, DIGEST) as place:
        assert place.read() == "https://registry.example.com/a/place"
    assert list(tmp_path.iterdir()) == []


def test_it_belongs_to_one_at_a_time(tmp_path: Path) -> None:
    with unfinished.place(tmp_path, SHOP, DIGEST) as first:
        first.write("here")
        with unfinished.place(tmp_path, SHOP, DIGEST) as second:
            assert first.is_kept and not second.is_kept and second.read() == ""
            second.write("there")
        assert first.read() == "here"


def test_old_ones_are_forgotten(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("here")
    os.utime(old, (time.time() - 30 * 86400,) * 2)
    with unfinished.place(tmp_path, SHOP, DIGEST):
        assert not old.exists()


@pytest.mark.parametrize("folder", [None, Path("/proc/nowhere")])
def test_without_a_folder_nothing_is_kept(folder: Path | None) -> None:
    with unfinished.place(folder, SHOP, DIGEST) as place:
        place.write("here")
        assert not place.is_kept and place.read() == ""
