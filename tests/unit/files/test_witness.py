"""Signatures: what shows that a file moved, and what can't."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from imgbake.files import witness


def _project(root: Path, count: int) -> list[str]:
    paths = []
    for index in range(count):
        path = root / f"d{index % 3}" / f"f{index}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(index))
        paths.append(str(path.relative_to(root)))
    return paths


def test_nothing_moved(tmp_path: Path) -> None:
    paths = [*_project(tmp_path, 20), "gone", str(tmp_path / "d0"), "/no/such/file"]
    seen = witness.pack(witness.signature(tmp_path / path) for path in paths)
    assert witness.first_moved(str(tmp_path), paths, seen) is None


@pytest.mark.parametrize("change", ["write", "touch", "remove", "replace", "chmod", "append"])
def test_any_change_of_a_file_shows(tmp_path: Path, change: str) -> None:
    paths = _project(tmp_path, 9)
    seen = witness.pack(witness.signature(tmp_path / path) for path in paths)
    victim = tmp_path / paths[4]
    time.sleep(0.02)
    match change:
        case "write":
            victim.write_text("x")
        case "append":
            victim.write_text("xyz")
        case "touch":
            victim.touch()
        case "remove":
            victim.unlink()
        case "chmod":
            victim.chmod(0o755)
        case "replace":
            stat = victim.stat()
            beside = tmp_path / "beside"
            beside.write_text(victim.read_text())
            os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            beside.replace(victim)
    assert witness.first_moved(str(tmp_path), paths, seen) == paths[4]


def test_a_file_that_appears_where_there_was_none_shows(tmp_path: Path) -> None:
    paths = ["a", "b/c"]
    seen = witness.pack([witness.ABSENT, witness.ABSENT])
    assert witness.first_moved(str(tmp_path), paths, seen) is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").touch()
    assert witness.first_moved(str(tmp_path), paths, seen) == "b/c"


def test_a_new_file_in_a_folder_shows_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    seen = witness.pack([witness.signature(tmp_path / "src")])
    time.sleep(0.02)
    (tmp_path / "src" / "new").touch()
    assert witness.first_moved(str(tmp_path), ["src"], seen) == "src"


def test_a_project_that_is_gone_has_moved(tmp_path: Path) -> None:
    assert witness.first_moved(str(tmp_path / "gone"), ["a"], witness.pack([witness.ABSENT])) == "a"
    assert witness.first_moved(str(tmp_path / "gone"), [], witness.pack([])) is None


def test_paths_and_signatures_must_be_as_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 paths but 4 numbers"):
        witness.first_moved(str(tmp_path), ["a", "b"], witness.pack([witness.ABSENT]))


def test_no_file_looks_unsettled(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert witness.first_moved(str(tmp_path), ["a"], witness.pack([witness.UNSETTLED])) == "a"
    assert witness.first_moved(str(tmp_path), ["b"], witness.pack([witness.UNSETTLED])) == "b"


def test_a_signature_of_what_cannot_be_looked_at_is_absent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert witness.signature(tmp_path / "file" / "below") == witness.ABSENT
    assert witness.signature(tmp_path / ("x" * 5000)) == witness.ABSENT


SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND + 500_000_001


@pytest.mark.parametrize(
    ("modified", "changed", "settled"),
    [
        (NOW - SECOND, NOW - SECOND, True),
        (NOW - 1_000_000, NOW - 1_000_000, False),
        (NOW - SECOND, NOW - 1_000_000, False),  # its time was set back just now
        (NOW - 1_000_000, NOW - SECOND, False),
        (NOW + SECOND, NOW + SECOND, False),  # another machine's clock
        (NOW + 900 * SECOND, NOW - SECOND, True),  # set by hand, to the future
        (NOW - SECOND, (NOW // SECOND - 1) * SECOND, False),  # a file system that keeps whole seconds
        (NOW - SECOND, (NOW // SECOND - 3) * SECOND, False),
        (NOW - 4 * SECOND, (NOW // SECOND - 4) * SECOND, True),
    ],
)
def test_a_file_that_was_just_changed_is_not_settled(modified: int, changed: int, settled: bool) -> None:
    assert witness.is_settled((modified, changed, 1, 1), NOW) is settled


def test_absence_is_settled() -> None:
    assert witness.is_settled(witness.ABSENT, NOW)


def test_large_inodes_fit() -> None:
    named = {"st_mtime_ns": 1, "st_ctime_ns": 2}
    stat = os.stat_result((0o100644, (1 << 64) - 5, 1, 1, 0, 0, 7, 0, 0, 0), named)
    assert len(witness.pack([witness.of_stat(stat)])) == 4


def test_ten_thousand_files_are_swept_fast(tmp_path: Path) -> None:
    paths = _project(tmp_path, 2000) * 5
    seen = witness.pack(witness.signature(tmp_path / path) for path in paths)
    fastest = 1.0
    for _ in range(5):
        started = time.perf_counter()
        assert witness.first_moved(str(tmp_path), paths, seen) is None
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 0.5  # 0.025 s on an idle machine
