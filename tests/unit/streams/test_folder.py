"""Streams in a folder: what every shelf is held to, and what files add to it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imgbake.errors import BakeError
from imgbake.streams import document, shelving
from imgbake.streams.folder import Folder
from imgbake.streams.model import Stream
from imgbake.testing.shelves import Place, ShelfConformance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KILLER = """
import os, random, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from imgbake.streams import changes, model, shelving
from imgbake.streams.folder import Folder

folder = Folder(Path(sys.argv[1]))

def moved(stream):
    number = len(stream.tags["latest"].history)
    revision = model.Revision(f"{number}", f"image@{number}", datetime.now(UTC))
    return changes.point(stream, {"latest": changes.Pointed(revision)})

empty = model.Stream(datetime.now(UTC), tags={"latest": model.Tag()})
shelving.change(folder, "python", lambda stream: empty)
for _ in range(200):
    writer = os.fork()
    if not writer:
        while True:
            shelving.change(folder, "python", moved)
    time.sleep(random.uniform(0, 0.01))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    print(*(each.image for each in shelving.existing(folder, "python").tags["latest"].history))
"""


class TestFolder(ShelfConformance):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return lambda: Folder(tmp_path / "streams")


def test_a_writer_that_is_killed_leaves_the_document_before_or_after(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLER, tmp_path], capture_output=True, text=True, check=True)
    seen = [line.split() for line in ran.stdout.splitlines()]
    assert len(seen) == 200 and seen[-1]
    for before, after in itertools.pairwise(seen):
        assert after == [*map(str, range(len(after) - 1, len(before) - 1, -1)), *before]
    assert Folder(tmp_path).names() == ["python"]


def test_writers_wait_for_each_other_instead_of_trying_in_vain(tmp_path: Path) -> None:
    seen = []

    def with_label(stream: Stream | None) -> Stream:
        seen.append(stream)
        return Stream(NOW, labels={"seen": "yes"})

    with ThreadPoolExecutor(1) as pool:
        with Folder(tmp_path).turn():
            waiting = pool.submit(shelving.change, Folder(tmp_path), "python", with_label)
            time.sleep(0.05)
            assert Folder(tmp_path).save("python", document.dump(Stream(NOW)), "")
        waiting.result()
    assert seen == [Stream(NOW)]


def test_files_that_are_no_documents_are_no_streams(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save("python", b"{}", "")
    for name in (".ruby.new", ".hidden.json", "README.md"):
        (tmp_path / name).write_text("")
    assert folder.names() == ["python"]


def test_who_may_read_a_stream_stays_as_it_was(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.save("python", b"one", "")
    (tmp_path / "python.json").chmod(0o640)
    kept = folder.load("python")
    assert kept is not None
    folder.save("python", b"two", kept.version)
    assert (tmp_path / "python.json").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "streams").write_text("a file")
    with pytest.raises(BakeError, match=r"can't write to .*streams: "):
        Folder(tmp_path / "streams").save("python", b"", "")
    assert [each.name for each in tmp_path.iterdir()] == ["streams"]
