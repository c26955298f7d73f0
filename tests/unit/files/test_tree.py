"""The project's files by content: what is found, remembered, proved and noticed."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake import digest as digests
from imgbake.errors import BakeError
from imgbake.files import hashing, witness
from imgbake.files.memory import DigestMemory
from imgbake.files.tree import Files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        put(root, name.replace("__", "/"), text)


def put(root: Path, path: str, text: str = "", mode: int = 0o644) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    return target


def age() -> None:
    """Makes every file old enough to prove something."""
    time.sleep(witness.SETTLE_NS / 1e9 + 0.02)


def paths(files: Files, *patterns: str, exclude: tuple[str, ...] = (), follow: bool = True) -> list[str]:
    return [entry.path for entry in files.tree(patterns, exclude, follow=follow).entries]


class TestWhatIsFound:
    def test_files_of_patterns_sorted_by_path(self, root: Path) -> None:
        for path in ("b.py", "a/x.py", "a/y.txt", "a/c/z.py", "a.py", ".hidden/q.py", ".git/config.py"):
            put(root, path)
        files = Files(root)
        assert paths(files, "**/*.py") == [".hidden/q.py", "a.py", "a/c/z.py", "a/x.py", "b.py"]
        assert (
            paths(files, "a")
            == paths(files, "a/")
            == paths(files, "a/**")
            == ["a/c/z.py", "a/x.py", "a/y.txt"]
        )
        assert paths(files, "a/*", "*.py", "b.py") == ["a.py", "a/x.py", "a/y.txt", "b.py"]
        assert paths(files, "*.py", "gone", "gone/**", "b.py/") == ["a.py", "b.py"]
        assert paths(files, ".", exclude=("a", "*.py")) == [".hidden/q.py"]
        assert paths(files, ".git/*", ".git") == [".git/config.py"]
        assert paths(files) == []

    def test_an_entry_says_what_a_file_is(self, root: Path) -> None:
        put(root, "run.sh", "echo", mode=0o751)
        put(root, "data", "1234", mode=0o600)
        put(root, "su", "", mode=0o4755)
        data, run, su = Files(root).tree(["*"]).entries
        assert (data.kind, data.mode, data.size, data.digest) == ("file", 0o644, 4, digests.of_bytes(b"1234"))
        assert (run.mode, su.mode) == (0o755, 0o4755)
        assert run.source == run.path == "run.sh"

    def test_paths_outside_the_project(self, root: Path) -> None:
        put(root, "../shared/a.h", "x")
        outside = put(root.parent, "abs/b.h", "y")
        files = Files(root)
        assert paths(files, "../shared/*.h", str(outside)) == ["../shared/a.h", str(outside)]
        assert paths(files, f"{outside.parent}/*") == [str(outside)]

    def test_links_are_followed_to_files_for_tasks(self, root: Path) -> None:
        put(root, "real/a", "content")
        (root / "one").symlink_to("two")
        (root / "two").symlink_to("real/a")
        (root / "broken").symlink_to("nowhere")
        (root / "loop").symlink_to("loop")
        (root / "folder").symlink_to("real")
        entries = {entry.path: entry for entry in Files(root).tree(["*"]).entries}
        assert entries["one"].value() == entries["two"].value() == f"file 0644 {digests.of_bytes(b'content')}"
        assert (entries["broken"].kind, entries["broken"].digest) == ("symlink", "nowhere")
        assert (entries["loop"].kind, entries["folder"].kind) == ("symlink", "symlink")

    def test_a_link_to_a_folder_is_entered_only_where_a_pattern_names_it(self, root: Path) -> None:
        put(root, "releases/1/app", "v1")
        (root / "current").symlink_to("releases/1")
        files = Files(root)
        assert paths(files, "current") == paths(files, "current/*") == ["current/app"]
        assert paths(files, "**/app") == ["releases/1/app"]
        assert [e.kind for e in files.tree(["current"], follow=False).entries] == ["symlink"]
        assert paths(files, "current/", follow=False) == ["current/app"]

    def test_what_goes_into_an_image_keeps_links_folders_and_names(self, root: Path) -> None:
        put(root, "d/b", "x")
        (root / "d" / "a").hardlink_to(root / "d" / "b")
        (root / "d" / "link").symlink_to("b")
        (root / "d" / "empty").mkdir()
        (root / "d" / "empty").chmod(0o1777)
        put(root, "d/sub/c", "y")
        found = Files(root).tree(["d"], follow=False).entries
        assert [(e.path, e.kind, f"{e.mode:04o}") for e in found] == [
            ("d/a", "file", "0644"),
            ("d/b", "hardlink", "0644"),
            ("d/empty", "dir", "1755"),
            ("d/link", "symlink", "0777"),
            ("d/sub", "dir", "0755"),
            ("d/sub/c", "file", "0644"),
        ]
        assert found[1].digest == "d/a"
        assert found[3].digest == "b"
        assert paths(Files(root), "d/**/c", follow=False) == ["d/sub/c"]

    def test_a_socket_is_no_input_and_cannot_be_baked(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(root)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("s")
        os.mkfifo("f")
        assert paths(Files(root), "*") == []
        with pytest.raises(BakeError, match=r"^f is not a file"):
            Files(root).tree(["*"], follow=False)

    def test_a_name_that_is_not_text_is_an_error_that_names_it(self, root: Path) -> None:
        (Path(os.fsdecode(os.fsencode(root) + b"/b\xc3\xa4d\xff"))).touch()
        with pytest.raises(BakeError, match=r"the name 'bäd\\xff' is not UTF-8"):
            Files(root).tree(["*"])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_what_cannot_be_read_is_an_error_that_names_it(self, root: Path) -> None:
        put(root, "secret", "x", mode=0)
        with pytest.raises(BakeError, match=r"can't read .*secret: Permission denied"):
            Files(root).tree(["secret"])
        (root / "closed").mkdir(mode=0)
        with pytest.raises(BakeError, match=r"can't list .*closed: Permission denied"):
            Files(root).tree(["closed"])

    def test_missing_names_the_plain_paths_that_do_not_exist(self, root: Path) -> None:
        put(root, "here")
        (root / "broken").symlink_to("nowhere")
        assert Files(root).missing(["there", "here", "*.none", "here/x", "broken"]) == ("here/x", "there")

    def test_the_digest_of_a_tree_is_of_its_content(self, root: Path, tmp_path: Path) -> None:
        other = tmp_path / "elsewhere"
        for folder in (root, other):
            put(folder, "a/x", "1")
            put(folder, "b", "2")
        (other / "b").chmod(0o664)
        assert Files(root).tree(["."]).digest == Files(other).tree(["**"]).digest
        (other / "b").chmod(0o755)
        assert Files(root).tree(["."]).digest != Files(other).tree(["."]).digest


class TestMemory:
    def test_a_file_that_did_not_move_is_not_read_again(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(root, "a", "x")
        age()
        memory = root / ".imgbake" / "files"
        files = Files(root, memory)
        before = files.tree(["a"])
        files.save()
        monkeypatch.setattr(hashing, "of_files", None)  # whoever reads now fails
        assert files.tree(["a"]) == before
        assert Files(root, memory).tree(["a"]) == before

    def test_a_file_written_just_now_is_read_again(self, root: Path) -> None:
        memory = root / ".imgbake" / "files"
        path = put(root, "a", "x")
        before = path.stat()
        files = Files(root, memory)
        assert files.digest("a") == digests.of_bytes(b"x")
        files.save()
        # Within one tick of the clock, a change leaves no trace but the content.
        path.write_text("y")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert files.digest("a") == Files(root, memory).digest("a") == digests.of_bytes(b"y")

    @pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage", "other version"])
    def test_a_damaged_memory_is_none(self, root: Path, damage: str) -> None:
        put(root, "a", "x")
        age()
        memory = root / "memory"
        files = Files(root, memory)
        files.digest("a")
        files.save()
        data = bytearray(memory.read_bytes())
        match damage:
            case "flip":
                data[-3] ^= 1
            case "truncate":
                del data[-5:]
            case "empty":
                data.clear()
            case "garbage":
                data[:] = b"garbage" * 20
            case "other version":
                data[:8] = b"IMGBAKE1"
        memory.write_bytes(data)
        again = Files(root, memory)
        assert again.digest("a") == digests.of_bytes(b"x")
        again.save()
        assert DigestMemory(memory).find("a", witness.signature(root / "a")) == digests.of_bytes(b"x")

    def test_a_memory_that_cannot_be_written_costs_time_only(self, root: Path) -> None:
        put(root, "a", "x")
        age()
        files = Files(root, root / "a" / "memory")
        assert files.digest("a") == digests.of_bytes(b"x")
        files.save()

    def test_what_nobody_asks_for_is_forgotten_in_the_end(self, tmp_path: Path) -> None:
        file = tmp_path / "memory"
        sign = (1, 2, 3, 4)
        memory = DigestMemory(file)
        memory.keep("old", sign, digests.of_bytes(b"old"))
        memory.save()
        for turn in range(60):
            memory = DigestMemory(file)
            memory.keep("new", (turn, 0, 0, 0), digests.of_bytes(b"new"))
            memory.save()
        memory = DigestMemory(file)
        assert memory.find("old", sign) is None
        assert memory.find("new", (59, 0, 0, 0)) == digests.of_bytes(b"new")

    @given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)), max_size=6))
    def test_it_knows_what_was_read_last(self, runs: list[dict[str, int]]) -> None:
        last: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "memory"
            for run in runs:
                memory = DigestMemory(file)
                for path, number in run.items():
                    memory.keep(path, (number, 0, 0, 1), digests.of_bytes(b"%d" % number))
                memory.save()
                last |= run
            memory = DigestMemory(file)
            for path in "abcdefgh":
                number = last.get(path, 0)
                known = digests.of_bytes(b"%d" % number) if path in last else None
                assert memory.find(path, (number, 0, 0, 1)) == known

    def test_sixty_thousand_files_are_kept_in_little_room(self, tmp_path: Path) -> None:
        file = tmp_path / "memory"
        memory = DigestMemory(file)
        for index in range(60_000):
            memory.keep(
                f"some/folder/of/a/project/{index}", (index, 2, 3, 4), digests.of_bytes(b"%d" % index)
            )
        memory.save()
        assert file.stat().st_size < 8_000_000
        memory = DigestMemory(file)
        assert memory.find("some/folder/of/a/project/77", (77, 2, 3, 4)) == digests.of_bytes(b"77")
        assert memory.find("some/folder/of/a/project/77", (78, 2, 3, 4)) is None

    def test_files_of_all_sizes_are_hashed_alike(self, root: Path) -> None:
        sizes = [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 20]
        content = os.urandom(3 << 20)
        for size in sizes:
            (root / str(size)).write_bytes(content[:size])
        names = [(str(root / str(size)), size) for size in sizes] * 3
        assert hashing.of_files(names) == [digests.of_bytes(content[:size]) for size in sizes] * 3
        grown = [(str(root / str(sizes[-1])), 5), (str(root / "gone"), 5)]
        big, gone = hashing.of_files(grown)
        assert big == digests.of_bytes(content)
        assert isinstance(gone, FileNotFoundError)


class TestProof:
    def test_seen_proves_that_nothing_moved_until_something_does(self, root: Path) -> None:
        put(root, "src/a.py", "1")
        put(root, "src/deep/b.py", "2")
        put(root, "lib/real", "3")
        (root / "src" / "link.py").symlink_to("../lib/real")
        age()
        for change in (
            lambda: put(root, "src/a.py", "9"),
            lambda: put(root, "src/new.py", ""),
            lambda: put(root, "src/deep/new.py", ""),
            lambda: put(root, "lib/real", "9"),
            lambda: (root / "src" / "deep" / "b.py").unlink(),
            lambda: put(root, "optional", ""),
        ):
            files = Files(root)
            files.tree(["src/**/*.py"])
            files.missing(["optional"])
            assert witness.UNSETTLED not in files.seen.values()
            seen = witness.pack(files.seen.values())
            assert witness.first_moved(str(root), list(files.seen), seen) is None
            change()
            assert witness.first_moved(str(root), list(files.seen), seen) is not None
            age()

    def test_what_was_just_written_proves_nothing_until_it_settles(self, root: Path) -> None:
        put(root, "d/a", "1")
        (root / "d" / "l").symlink_to("a")
        files = Files(root)
        files.tree(["d/*"])
        assert set(files.seen.values()) == {witness.UNSETTLED}
        files.settle()
        assert set(files.seen.values()) == {witness.UNSETTLED}
        age()
        files.settle()
        assert files.seen["d/a"] == witness.signature(root / "d" / "a")
        assert witness.UNSETTLED not in files.seen.values()

    def test_a_name_that_looks_like_a_digest_is_none(self, root: Path) -> None:
        put(root, "d/sha256:abc", "1")
        (root / "link").symlink_to("sha256:abc")
        files = Files(root, root / "memory")
        files.tree(["d/*", "link"], follow=False)
        age()
        files.settle()
        files.save()
        assert witness.UNSETTLED not in files.seen.values()

    def test_a_pipe_settles_without_waiting_for_a_writer(self, root: Path) -> None:
        os.mkfifo(root / "pipe")
        files = Files(root)
        files.tree(["*"])
        age()
        settling = threading.Thread(target=files.settle, daemon=True)
        settling.start()
        settling.join(10)
        assert not settling.is_alive() and witness.UNSETTLED not in files.seen.values()

    def test_what_changed_meanwhile_does_not_settle(self, root: Path) -> None:
        path = put(root, "d/a", "1")
        files = Files(root)
        files.tree(["d/*"])
        before = path.stat()
        path.write_text("2")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        put(root, "d/b")
        age()
        files.settle()
        assert files.seen["d/a"] == files.seen["d"] == witness.UNSETTLED


class TestMoved:
    @pytest.mark.parametrize("wait", [False, True])
    def test_a_change_of_an_input_is_noticed(self, root: Path, wait: bool) -> None:
        put(root, "src/a", "1")
        put(root, "src/b", "1")
        if wait:
            age()
        files = Files(root)
        with files.watching() as seen:
            files.tree(["src/*"])
        assert files.moved(seen) is None
        before = (root / "src" / "b").stat()
        put(root, "src/b", "2")
        os.utime(root / "src" / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert files.moved(seen) == "src/b"

    def test_new_and_removed_files_are_noticed(self, root: Path) -> None:
        put(root, "src/a", "1")
        files = Files(root)
        with files.watching() as seen:
            files.tree(["src/*"])
            files.missing(["maybe"])
        put(root, "src/c")
        assert files.moved(seen) == "src/c"
        (root / "src" / "c").unlink()
        assert files.moved(seen) is None
        put(root, "maybe")
        assert files.moved(seen) == "maybe"
        (root / "maybe").unlink()
        (root / "src" / "a").unlink()
        assert files.moved(seen) == "src/a"

    def test_a_touch_or_another_file_in_the_folder_is_no_change(self, root: Path) -> None:
        put(root, "src/a.c", "1")
        age()
        files = Files(root)
        with files.watching() as seen:
            files.tree(["src/*.c"])
        put(root, "src/a.o")
        (root / "src" / "a.c").touch()
        assert files.moved(seen) is None

    def test_watching_notes_what_is_looked_at_inside_only(self, root: Path) -> None:
        write(root, a="1", b="2", c="3")
        files = Files(root)
        files.tree(["a"])
        with files.watching() as outer:
            files.tree(["b"])
            with files.watching() as inner:
                files.digest("c")
        assert set(inner) == {"c"}
        assert set(outer) == {"b", "c"}
        put(root, "c", "4")
        assert files.moved(outer) == files.moved(inner) == "c"

    def test_a_file_that_moves_between_two_looks_has_moved(self, root: Path) -> None:
        put(root, "a", "1")
        age()
        files = Files(root)
        with files.watching() as seen:
            files.tree(["a"])
            put(root, "a", "2")
            age()
            files.tree(["a"])
        assert files.moved(seen) == "a"

    def test_the_digest_of_no_file_is_an_error(self, root: Path) -> None:
        (root / "folder").mkdir()
        put(root, "we[i]rd*", "x")
        files = Files(root)
        assert files.digest("we[i]rd*") == digests.of_bytes(b"x")
        for path in ("gone", "folder"):
            with pytest.raises(BakeError, match=f"^{path} is not a file"):
                files.digest(path)


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "touch", "swap", "look", "exec"]),
        st.lists(NAMES, min_size=1, max_size=2).map("/".join),
        st.text("xy", max_size=2),
    ),
    max_size=14,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_a_tree_is_always_what_is_on_disk(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    """However files change, and however fast, what is remembered never shows."""
    root = tmp_path_factory.mktemp("tree")
    files = Files(root, root / ".imgbake" / "files")
    for action, path, text in steps:
        _do(root, action, path, text)
        if action == "look":
            files.save()
            files = Files(root, root / ".imgbake" / "files")
        found = {entry.path: (entry.digest, entry.mode) for entry in files.tree(["**"]).entries}
        assert found == {
            str(each.relative_to(root)): (
                digests.of_bytes(each.read_bytes()),
                0o755 if each.stat().st_mode & 0o100 else 0o644,
            )
            for each in root.rglob("*")
            if each.is_file() and ".imgbake" not in each.parts
        }


def _do(root: Path, action: str, path: str, text: str) -> None:
    target = root / path
    if target.is_dir() or any(parent.is_file() for parent in target.parents):
        return
    match action:
        case "write":
            put(root, path, text)
        case "remove":
            target.unlink(missing_ok=True)
        case "touch" if target.exists():
            target.touch()
        case "exec" if target.exists():
            target.chmod(target.stat().st_mode ^ 0o100)
        case "swap" if target.exists():
            before = target.stat()
            put(root, path, text)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
