from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_tasks import place


@pytest.fixture(params=["here", "elsewhere"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder for sources: on the file system of the target, and on another one."""
    if request.param == "here":
        yield tmp_path
        return
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file(source: Path, tmp_path: Path) -> None:
    for content in ("one", "two"):
        (source / "new").write_text(content)
        place.put_file(source / "new", tmp_path / "deep/target")
        assert (tmp_path / "deep/target").read_text() == content
    assert not (source / "new").exists()
    assert names(tmp_path / "deep") == ["target"]


def test_a_folder(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (source / "new/sub").mkdir(parents=True)
        (source / "new/sub" / name).write_text(name)
        (source / "new/link").symlink_to("sub")
        place.put_folder(source / "new", tmp_path / "deep/target")
        assert names(tmp_path / "deep/target/sub") == [name]
        assert (tmp_path / "deep/target/link").readlink() == Path("sub")
    assert names(tmp_path / "deep") == ["target"]


def test_a_folder_where_a_file_was_and_a_killed_run(source: Path, tmp_path: Path) -> None:
    (source / "new").mkdir()
    (tmp_path / "target").write_text("a file")
    (tmp_path / ".target.imgbake-old").mkdir()
    (tmp_path / ".target.imgbake-new").write_text("half")
    place.put_folder(source / "new", tmp_path / "target")
    assert (tmp_path / "target").is_dir()
    assert not [name for name in names(tmp_path) if "imgbake-" in name]
