"""The content store: what is kept, proved, shared between processes, and survived."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from imgbake import digest as digests
from imgbake.contract import Artifact, Entry, Tree
from imgbake.errors import BakeError, UsageError
from imgbake.store.faults import StoreFull, StoreUnwritable
from imgbake.store.folder import default_folder
from imgbake.store.sizes import default_limit, parse_size
from imgbake.store.store import Store

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    yield store
    store.close()


@pytest.fixture
def gathering(folder: Path) -> Iterator[Store]:
    store = Store(folder, is_gathering=True)
    yield store
    store.close()


def blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / "sha256" / digest.removeprefix("sha256:")


def change(path: Path, data: bytes) -> None:
    """Writes into a read-only file, as a bad disk or a careless root would."""
    path.chmod(0o644)
    path.write_bytes(data)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in (folder / "tmp").rglob("*") if path.is_file()]


class TestBlobs:
    def test_nothing_is_made_before_the_first_use(self, folder: Path) -> None:
        Store(folder).close()
        assert not folder.exists()

    def test_bytes_and_files_are_kept_by_content(self, store: Store, folder: Path, tmp_path: Path) -> None:
        big = tmp_path / "big"
        big.write_bytes(os.urandom(700_000))
        (tmp_path / "small").write_bytes(b"hello")
        digest = store.add_bytes(b"hello")
        assert digest == store.add_file(tmp_path / "small") == digests.of_bytes(b"hello")
        large = store.add_file(big)
        assert large == digests.of_file(big) == store.add_file(big)
        assert store.path(digest) == blob(folder, digest)
        assert store.path(digest).read_bytes() == b"hello"
        assert store.path(large).read_bytes() == big.read_bytes()
        assert store.path(large).stat().st_mode & 0o777 == 0o444
        assert store.has(digest)
        assert leftovers(folder) == []

    def test_an_empty_blob_is_one(self, store: Store) -> None:
        assert store.path(store.add_bytes(b"")).read_bytes() == b""

    def test_what_is_not_there_is_a_key_error(self, store: Store, tmp_path: Path) -> None:
        for digest in (digests.of_bytes(b"never"), "sha256:../../etc/passwd", "", "sha256:" + "A" * 64):
            assert not store.has(digest)
            with pytest.raises(KeyError):
                store.path(digest)
            with pytest.raises(KeyError):
                store.link(digest, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_finished_file_is_adopted_by_renaming(self, store: Store, folder: Path) -> None:
        written = store.scratch() / "layer"
        written.write_bytes(b"layer")
        inode = written.stat().st_ino
        digest = store.adopt(written, digests.of_bytes(b"layer"))
        assert store.path(digest).stat().st_ino == inode
        assert not written.exists()
        written.write_bytes(b"layer")
        store.adopt(written, digest)
        assert not written.exists()
        with pytest.raises(ValueError, match="not a digest"):
            store.adopt(written, "layer")

    def test_what_cannot_be_kept_is_an_error_that_names_it(self, store: Store, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "gone", tmp_path, tmp_path / "pipe"):
            with pytest.raises(BakeError, match=str(path)):
                store.add_file(path)

    def test_a_link_shares_the_blob_and_replaces_what_was_there(self, store: Store, tmp_path: Path) -> None:
        digest = store.add_bytes(b"content")
        out = tmp_path / "out"
        out.write_bytes(b"old")
        for _ in range(2):
            store.link(digest, out)
            assert out.samefile(store.path(digest))
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".imgbake")] == []
        with pytest.raises(BakeError, match=r"can't write .*/gone/out: No such file"):
            store.link(digest, tmp_path / "gone" / "out")

    def test_where_there_are_no_hard_links_it_is_a_copy(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        digest = store.add_bytes(b"content")
        monkeypatch.setattr(os, "link", refuse)
        store.link(digest, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"content"
        assert not (tmp_path / "out").samefile(store.path(digest))

    def test_a_copy_may_be_changed(self, store: Store, tmp_path: Path) -> None:
        digest = store.add_bytes(b"content" * 100_000)
        store.copy(digest, tmp_path / "out", 0o755)
        assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
        (tmp_path / "out").write_bytes(b"changed")
        assert store.path(digest).read_bytes() == b"content" * 100_000

    def test_linking_does_not_make_a_blob_be_read_again(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = store.add_bytes(b"content")
        store.link(digest, tmp_path / "out")
        monkeypatch.setattr(digests, "of_file", None)
        assert store.path(digest)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"x",
}


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGE)
    @pytest.mark.parametrize("hide", [False, True], ids=["", "hidden"])
    def test_a_damaged_blob_is_removed_and_can_be_made_again(
        self, store: Store, folder: Path, damage: str, hide: bool
    ) -> None:
        digest = store.add_bytes(b"some content")
        file = store.path(digest)
        before = file.stat()
        time.sleep(0.02)
        change(file, DAMAGE[damage](b"some content"))
        if hide:  # as if nothing had happened, but for the change time, which can't be set
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            file.chmod(0o444)
        with pytest.raises(KeyError):
            store.path(digest)
        assert not store.has(digest)
        assert store.add_bytes(b"some content") == digest
        assert store.path(digest).read_bytes() == b"some content"

    def test_a_damaged_blob_is_replaced_when_it_is_added_again(self, store: Store, tmp_path: Path) -> None:
        digest = store.add_bytes(b"x" * 300_000)
        (tmp_path / "same").write_bytes(b"x" * 300_000)
        change(store.path(digest), b"damaged")
        assert store.add_file(tmp_path / "same") == digest
        assert store.path(digest).read_bytes() == b"x" * 300_000

    def test_a_touched_blob_is_sound(self, store: Store) -> None:
        digest = store.add_bytes(b"content")
        store.path(digest).touch()
        assert store.path(digest).read_bytes() == b"content"

    def test_a_blob_that_cannot_be_read_just_now_stays(
        self, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: str) -> str:
            raise OSError(24, "Too many open files", path)

        digest = store.add_bytes(b"content")
        store.path(digest).touch()
        with monkeypatch.context() as patch, pytest.raises(BakeError, match="Too many open files"):
            patch.setattr(digests, "of_file", refuse)
            store.path(digest)
        assert store.path(digest).read_bytes() == b"content"

    def test_a_removed_blob_is_gone(self, store: Store, folder: Path) -> None:
        digest = store.add_bytes(b"content")
        blob(folder, digest).unlink()
        assert not store.has(digest)
        with pytest.raises(KeyError):
            store.path(digest)
        assert store.entries() == []

    def test_verify_removes_what_is_damaged_and_rows_of_nothing(self, store: Store, folder: Path) -> None:
        sound, damaged, gone = (store.add_bytes(text) for text in (b"sound", b"damaged", b"gone"))
        change(blob(folder, damaged), b"x")
        blob(folder, gone).unlink()
        stray = blob(folder, digests.of_bytes(b"stray"))
        stray.write_bytes(b"not it")
        assert set(store.verify()) == {damaged, "sha256:" + stray.name}
        assert [kept.name for kept in store.entries()] == [sound]
        assert store.verify() == ()

    def test_a_blob_without_a_row_is_found_again(self, store: Store, folder: Path) -> None:
        content = b"left by a process that was killed"
        digest = digests.of_bytes(content)
        store.add_bytes(b"other")
        blob(folder, digest).write_bytes(content)
        assert store.path(digest).read_bytes() == content
        assert digest in [kept.name for kept in store.entries()]

    def test_the_whole_store_may_be_deleted_at_any_time(self, store: Store, folder: Path) -> None:
        digest = store.add_bytes(b"content")
        subprocess.run(["rm", "-rf", folder], check=True)
        assert not store.has(digest)
        assert store.add_bytes(b"content") == digest
        subprocess.run(["rm", "-rf", folder / "blobs"], check=True)
        assert store.add_bytes(b"content") == digest
        assert store.path(digest).read_bytes() == b"content"
        store.close()
        assert Store(folder).has(digest)


class TestRecords:
    def test_a_record_is_found_by_its_fingerprint(self, store: Store, folder: Path) -> None:
        tree = Tree((Entry("a", "file", 0o644, digests.of_bytes(b"a"), 1, "dist/a"),))
        made = Artifact("files", tree.digest, facts={"n": [1, {"x": None}]}, blobs=("sha256:x",), tree=tree)
        store.remember("fingerprint", made)
        store.remember("fingerprint", made)
        assert store.record("fingerprint") == made
        assert store.record("another") is None
        store.close()
        again = Store(folder)
        assert again.record("fingerprint") == made
        again.close()

    def test_a_large_record_is_kept(self, store: Store) -> None:
        entries = tuple(
            Entry(f"folder/{n}", "file", 0o644, digests.of_bytes(b"%d" % n), n) for n in range(20_000)
        )
        store.remember("large", Artifact("files", tree=Tree(entries)))
        found = store.record("large")
        assert found is not None
        assert found.tree == Tree(entries)

    def test_a_pickle_is_refused_and_removed(self, store: Store, folder: Path, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, ...]:
                return os.mkdir, (str(tmp_path / "exploded"),)

        store.remember("fingerprint", Artifact("files"))
        digest = store.add_bytes(b"content")
        store.close()
        with sqlite3.connect(folder / "cache.db") as database:
            database.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb()),))
            database.execute("INSERT INTO Cache (key, raw, mode) VALUES (?, 0, 4)", (pickle.dumps(Bomb()),))
        database.close()
        assert store.record("fingerprint") is None
        assert store.path(digest).read_bytes() == b"content"
        assert [kept.name for kept in store.entries()] == [digest]
        store.gc(limit=0)
        store.verify()
        store.clear()
        assert not (tmp_path / "exploded").exists()

    def test_a_damaged_record_is_none(self, store: Store, folder: Path) -> None:
        store.remember("fingerprint", Artifact("files"))
        store.close()
        with sqlite3.connect(folder / "cache.db") as database:
            database.execute("UPDATE Cache SET value = ?", (b'{"kind": 3}',))
        database.close()
        assert store.record("fingerprint") is None

    def test_nothing_is_pickled(self, store: Store, folder: Path) -> None:
        store.add_bytes(b"content")
        store.remember("fingerprint", Artifact("files"))
        store.close()
        with sqlite3.connect(folder / "cache.db") as database:
            found = database.execute("SELECT DISTINCT raw, mode, typeof(key) FROM Cache").fetchall()
        database.close()
        assert sorted(found) == [(1, 1, "text"), (1, 2, "text")]

    def test_what_is_adopted_is_moved_at_once(self, gathering: Store) -> None:
        path = gathering.scratch() / "made"
        path.write_bytes(b"made")
        digest = gathering.adopt(path, digests.of_bytes(b"made"))
        path.unlink(missing_ok=True)
        assert gathering.path(digest).read_bytes() == b"made"

    def test_a_gathering_store_shows_what_it_gathered(self, gathering: Store) -> None:
        digest = gathering.add_bytes(b"content")
        gathering.remember("fingerprint", Artifact("files", digest))
        assert gathering.has(digest)
        assert gathering.record("fingerprint") == Artifact("files", digest)
        many = [gathering.add_bytes(b"%d" % number) for number in range(1100)]
        assert all(gathering.path(digest).exists() for digest in many)

    def test_closing_writes_what_was_gathered(self, gathering: Store, folder: Path) -> None:
        gathering.add_bytes(b"content")
        gathering.close()
        again = Store(folder, is_gathering=True)
        again.remember("fingerprint", Artifact("files"))
        again.close()
        assert again.record("fingerprint") == Artifact("files")
        again.close()

    def test_others_find_what_was_gathered_when_it_is_flushed(self, gathering: Store, store: Store) -> None:
        digest = gathering.add_bytes(b"content")
        gathering.remember("fingerprint", Artifact("files", digest))
        gathering.flush()
        assert store.path(digest).read_bytes() == b"content"
        assert store.record("fingerprint") == Artifact("files", digest)

    def test_what_was_gathered_is_written_when_it_is_closed(self, gathering: Store, store: Store) -> None:
        digest = gathering.add_bytes(b"content")
        gathering.close()
        assert store.path(digest).read_bytes() == b"content"

    def test_what_was_gathered_is_written_soon_while_more_comes(self, gathering: Store, store: Store) -> None:
        digest = gathering.add_bytes(b"content")
        last = time.monotonic() + 10
        while not store.has(digest) and time.monotonic() < last:
            gathering.add_bytes(b"%d" % time.monotonic_ns())
        assert store.has(digest)


class TestRoom:
    def test_the_least_recently_used_goes_first(self, store: Store, folder: Path) -> None:
        digests_ = [store.add_bytes(bytes([n]) * 100_000) for n in range(6)]
        _set_ages(store, folder, {digest: 6000 - 1000 * n for n, digest in enumerate(digests_)})
        assert store.path(digests_[0])  # used again
        freed = store.gc(limit=400_000)
        assert freed.number >= 2
        assert freed.size == freed.number * 100_000
        left = [store.has(digest) for digest in digests_]
        assert left[0] and not left[1] and left[-1]
        assert store.usage().blob_bytes <= 400_000

    def test_what_was_not_used_for_long_goes(self, store: Store, folder: Path) -> None:
        old, new = store.add_bytes(b"old"), store.add_bytes(b"new")
        store.remember("old", Artifact("files"))
        _set_ages(store, folder, {old: 5000, "record:old": 5000, new: 100})
        assert store.gc(older_than=3600).number == 2
        assert (store.has(old), store.has(new), store.record("old")) == (False, True, None)

    def test_the_limit_is_kept_to_when_the_store_is_closed(self, folder: Path) -> None:
        store = Store(folder, size_limit=300_000)
        for number in range(6):
            store.add_bytes(bytes([number]) * 100_000)
            assert store.has(digests.of_bytes(b"\0" * 100_000))  # never in the middle of a build
        store.close()
        assert store.usage().blob_bytes <= 300_000
        store.close()

    def test_what_a_running_process_may_count_on_stays(self, store: Store, folder: Path) -> None:
        old = store.add_bytes(b"old")
        _set_ages(store, folder, {old: 9000})
        other = Store(folder)
        mine = other.add_bytes(b"mine")
        assert store.gc(limit=0).number == 1
        assert (store.has(old), other.has(mine)) == (False, True)
        other.close()
        store.gc(limit=0)
        assert not store.has(mine)

    def test_blobs_that_a_killed_process_left_go_once_nobody_can_need_them(
        self, store: Store, folder: Path
    ) -> None:
        store.add_bytes(b"kept")
        stray = blob(folder, digests.of_bytes(b"stray"))
        stray.write_bytes(b"stray")
        other = Store.open(folder)
        store.gc()
        assert stray.exists()
        other.close()
        assert store.gc().number == 1
        assert not stray.exists()
        assert store.has(digests.of_bytes(b"kept"))

    def test_clear_leaves_nothing(self, store: Store, folder: Path) -> None:
        digest = store.add_bytes(b"content")
        store.remember("fingerprint", Artifact("files"))
        blob(folder, digests.of_bytes(b"stray")).write_bytes(b"stray")
        store.clear()
        assert store.entries() == []
        assert list((folder / "blobs" / "sha256").iterdir()) == []
        assert not store.has(digest)
        store.add_bytes(b"content")
        assert store.has(digest)

    def test_usage_counts_blobs_and_records(self, store: Store) -> None:
        store.add_bytes(b"12345")
        store.remember("f", Artifact("files"))
        found = store.usage()
        assert (found.blobs, found.blob_bytes, found.records, found.limit) == (1, 5, 1, 20 * 10**9)
        assert found.record_bytes > 0
        assert sorted((kept.kind, kept.name) for kept in store.entries()) == [
            ("blob", digests.of_bytes(b"12345")), ("record", "f"),
        ]  # fmt: skip

    def test_a_user_without_a_home_has_the_store_where_nothing_else_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000)  # of whom the system's list says nothing
        assert default_folder({}) == Path("/nonexistent/.cache/imgbake")

    def test_folder_and_limit_come_from_the_environment(self) -> None:
        assert default_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/imgbake")
        assert default_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "imgbake"
        assert default_folder({"XDG_CACHE_HOME": "/c", "IMGBAKE_CACHE_DIR": "/d"}) == Path("/d")
        assert default_limit({}) == 20_000_000_000
        assert default_limit({"IMGBAKE_CACHE_SIZE": "1.5 GiB"}) == 3 << 29
        assert [parse_size(t) for t in ("5", "5B", "5k", "5KB", "5KiB", "5 mb", "1T")] == [
            5, 5, 5000, 5000, 5120, 5_000_000, 10**12,
        ]  # fmt: skip
        for wrong in ("", "GB", "-5", "5XB", "5 5"):
            with pytest.raises(UsageError, match="IMGBAKE_CACHE_SIZE can't be"):
                parse_size(wrong, "IMGBAKE_CACHE_SIZE")


def _set_ages(store: Store, folder: Path, ages: dict[str, float]) -> None:
    """Makes keys look as if they had last been used so many seconds ago."""
    store.close()
    with sqlite3.connect(folder / "cache.db") as database:
        for key, age in ages.items():
            database.execute("UPDATE Cache SET access_time = ? WHERE key = ?", (time.time() - age, key))
    database.close()


class TestThreads:
    @pytest.mark.parametrize("is_gathering", [False, True])
    def test_threads_share_one_store_and_leave_nothing_open(
        self, folder: Path, *, is_gathering: bool
    ) -> None:
        store = Store(folder, is_gathering=is_gathering)
        wrong: list[object] = []

        def work(seed: int) -> None:
            try:
                for number in range(60):
                    content = b"%d" % ((seed * number) % 97)
                    digest = store.add_bytes(content)
                    store.remember(f"f{number}", Artifact("files", digest))
                    if store.path(digest).read_bytes() != content:
                        wrong.append(content)
                    store.record(f"f{number}")
            except Exception as error:  # noqa: BLE001  # reported by the assertion below
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        store.close()
        gc.collect()  # an open connection would warn, and a warning is an error


def _write_many(folder: Path, seed: int) -> None:
    store = Store(folder)
    chance = random.Random(seed)
    for _ in range(80):
        number = chance.randrange(100)
        content = b"%d" % number * 1000
        digest = store.add_bytes(content)
        store.remember(f"f{number}", Artifact("files", digest))
        found = store.record(f"f{chance.randrange(100)}")
        if found is not None and not store.path(found.digest).exists():
            raise SystemExit("a record without its blob")
    store.close()


def _write_until_killed(folder: Path) -> None:
    store = Store(folder, is_gathering=True)
    number = 0
    while True:
        number += 1
        for part in range(5):
            digest = store.add_bytes(b"%d-%d" % (number % 50, part) * 20_000)
            store.remember(f"f{number % 50}-{part}", Artifact("files", digest))
        if number % 7 == 0:
            store.gc(limit=3_000_000)


class TestProcesses:
    def test_eight_writers_at_once(self, folder: Path) -> None:
        writers = [SPAWN.Process(target=_write_many, args=(folder, seed)) for seed in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
        assert [writer.exitcode for writer in writers] == [0] * 8
        store = Store(folder)
        assert store.verify() == ()
        for kept in store.entries():
            if kept.kind == "record":
                found = store.record(kept.name)
                assert found is not None
                assert store.has(found.digest)
        store.close()
        assert list((folder / "tmp").iterdir()) == []

    def test_a_process_killed_at_any_moment_leaves_a_sound_store(self, folder: Path) -> None:
        chance = random.Random(1)
        for _ in range(12):
            writer = SPAWN.Process(target=_write_until_killed, args=(folder,))
            writer.start()
            _wait_for(folder / "cache.db")
            time.sleep(chance.random() * 0.4)
            assert writer.pid is not None
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
            writer.close()
            store = Store.open(folder)
            assert store.verify() == ()
            for number in range(50):
                found = store.record(f"f{number}-0")
                if found is not None and store.has(found.digest):
                    assert store.path(found.digest).read_bytes() == b"%d-0" % number * 20_000
            assert [path.name for path in (folder / "tmp").iterdir()] == [store.scratch().name]
            store.close()

    def test_a_forked_child_uses_the_store_too(self, store: Store, folder: Path) -> None:
        mine = store.add_bytes(b"mine")
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from imgbake.store.store import Store\n"
            "store = Store(Path(sys.argv[1]))\n"
            "ours = store.add_bytes(b'ours')\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    theirs = store.add_bytes(b'theirs')\n"
            "    fine = store.path(ours).exists() and store.path(theirs).exists()\n"
            "    store.close()\n"
            "    os._exit(0 if fine else 1)\n"
            "_, status = os.waitpid(child, 0)\n"
            "assert status == 0\n"
            "assert store.scratch().exists()\n"
            "store.add_bytes(b'more')\n"
            "store.close()\n"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", script, folder], check=True)
        assert all(store.has(digests.of_bytes(text)) for text in (b"ours", b"theirs", b"more"))
        assert store.path(mine)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


class TestIndex:
    @pytest.mark.parametrize("damage", ["garbage", "truncated", "hole", "empty", "gone"])
    def test_a_damaged_index_is_made_again_from_the_blobs(self, folder: Path, damage: str) -> None:
        store = Store(folder)
        kept = [store.add_bytes(b"%d" % number) for number in range(300)]
        for number, digest in enumerate(kept):
            store.remember(f"f{number}", Artifact("files", digest))
        store.close()
        index = folder / "cache.db"
        data = index.read_bytes()
        match damage:
            case "garbage":
                index.write_bytes(b"garbage" * 1000)
            case "truncated":
                index.write_bytes(data[: len(data) // 2 + 100])
            case "hole":
                index.write_bytes(data[:4096] + b"\xff" * 8192 + data[12288:])
            case "empty":
                index.write_bytes(b"")
            case "gone":
                index.unlink()
        warnings: list[str] = []
        again = Store(folder, warn=warnings.append)
        for number, digest in enumerate(kept):
            found = again.record(f"f{number}")
            assert found in (None, Artifact("files", digest))
            assert again.path(digest).read_bytes() == b"%d" % number
        assert again.add_bytes(b"new") in [kept.name for kept in again.entries()]
        assert again.usage().blobs == 301
        again.close()
        if damage in ("garbage", "truncated", "hole"):
            assert warnings == [
                f"the index of the store in {folder} was damaged; it was made again from the blobs"
            ]
        else:
            assert warnings == []

    def test_damage_under_an_open_store_is_mended_too(self, folder: Path) -> None:
        store, other = Store(folder), Store(folder)
        digest = store.add_bytes(b"content")
        other.add_bytes(b"other")
        for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
            path = folder / name
            path.write_bytes(os.urandom(path.stat().st_size))
        for each in (store, other):
            each.remember("fingerprint", Artifact("files"))
            assert each.path(digest).read_bytes() == b"content"
            assert each.record("fingerprint") is not None
        store.close()
        other.close()

    def test_an_index_that_stays_locked_is_an_error(
        self, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("imgbake.store.disk.TIMEOUT", 0.05)
        digest = store.add_bytes(b"content")
        other = sqlite3.connect(folder / "cache.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.path(digest).read_bytes() == b"content"  # reading waits for nobody
        with pytest.raises(BakeError, match="stayed locked"):
            store.add_bytes(b"more")
        other.execute("ROLLBACK")
        other.close()
        assert leftovers(folder) == []
        store.add_bytes(b"more")


class TestFolder:
    def test_a_folder_that_cannot_be_made_is_unwritable(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(StoreUnwritable, match=str(folder)) as raised:
                Store.open(folder)
            assert "IMGBAKE_CACHE_DIR" in raised.value.hint
            store = Store(folder)
            with pytest.raises(StoreUnwritable):
                store.add_bytes(b"x")
            assert store.record("x") is None  # nothing is in what isn't there
            store.close()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_is_not_ours_is_unwritable(self, folder: Path) -> None:
        Store.open(folder).close()
        folder.chmod(0o500)
        with pytest.raises(StoreUnwritable):
            Store.open(folder)
        folder.chmod(0o700)

    def test_a_read_only_file_system_is_unwritable(self, small_disk: Path) -> None:
        store = Store(small_disk / "cache")
        digest = store.add_bytes(b"content")
        store.close()
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        for use in (lambda: Store.open(small_disk / "cache"), lambda: store.path(digest)):
            with pytest.raises(StoreUnwritable):
                use()

    def test_a_full_disk_is_an_error_and_leaves_nothing_half_done(
        self, small_disk: Path, tmp_path: Path
    ) -> None:
        folder = small_disk / "cache"
        store = Store(folder)
        kept = store.add_bytes(b"kept")
        (tmp_path / "big").write_bytes(os.urandom(6_000_000))
        with pytest.raises(StoreFull, match="no room left") as raised:
            store.add_file(tmp_path / "big")
        assert "IMGBAKE_CACHE_DIR" in raised.value.hint
        assert leftovers(folder) == []
        added: list[str] = []
        with pytest.raises(StoreFull):
            added.extend(store.add_bytes(b"%d" % number * 4000) for number in range(10_000))
        with pytest.raises(StoreFull):
            for number in range(100_000):
                store.remember(f"f{number}", Artifact("files", facts={"n": "x" * 2000}))
        assert leftovers(folder) == []
        assert store.path(kept).read_bytes() == b"kept"
        assert store.path(added[0]).exists()
        store.close()
        again = Store(folder)
        again.gc(limit=2_000_000)
        assert again.verify() == ()
        (small_disk / "ballast").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096))
        again.close()
        again.clear()
        (small_disk / "ballast").unlink()
        assert again.entries() == []
        assert again.path(again.add_bytes(b"room")).read_bytes() == b"room"
        again.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


class StoreMachine(RuleBasedStateMachine):
    """Any order of what can happen to a store: it has what it says, and it is what it should be."""

    is_gathering = False
    contents = Bundle("contents")

    @initialize()
    def start(self) -> None:
        from tempfile import TemporaryDirectory

        self.temporary = TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "cache"
        self.store = Store(self.folder, is_gathering=self.is_gathering)
        self.records: dict[str, Artifact] = {}
        self.sound: set[bytes] = set()
        self.lost: set[bytes] = set()

    @rule(target=contents, content=st.binary(max_size=20))
    def content(self, content: bytes) -> bytes:
        return content

    @rule(content=contents, way=st.sampled_from(["bytes", "file", "adopt"]))
    def add(self, content: bytes, way: str) -> None:
        file = Path(self.temporary.name) / "file"
        match way:
            case "bytes":
                digest = self.store.add_bytes(content)
            case "file":
                file.write_bytes(content)
                digest = self.store.add_file(file)
            case _:
                file = self.store.scratch() / "file"
                file.write_bytes(content)
                digest = self.store.adopt(file, digests.of_bytes(content))
        assert digest == digests.of_bytes(content)
        self.sound.add(content)

    @rule(content=contents)
    def look(self, content: bytes) -> None:
        digest = digests.of_bytes(content)
        if content in self.sound:
            assert self.store.has(digest)
            assert self.store.path(digest).read_bytes() == content
        else:
            with pytest.raises(KeyError):
                self.store.path(digest)
            assert not self.store.has(digest)

    @rule(content=contents)
    def put(self, content: bytes) -> None:
        out = Path(self.temporary.name) / "out"
        for way in (self.store.link, self.store.copy):
            if content in self.sound:
                way(digests.of_bytes(content), out)
                assert out.read_bytes() == content
            else:
                with pytest.raises(KeyError):
                    way(digests.of_bytes(content), out)

    @rule(content=contents, damage=st.sampled_from(["flip", "truncate", "remove"]))
    def damage(self, content: bytes, damage: str) -> None:
        file = blob(self.folder, digests.of_bytes(content))
        if content not in self.sound or (damage == "truncate" and not content) or not file.exists():
            return
        out = Path(self.temporary.name) / "out"
        out.unlink(missing_ok=True)
        self.sound.discard(content)
        if damage == "remove":
            file.unlink()
        elif damage == "truncate":
            change(file, content[:-1])
        else:
            change(file, bytes([content[0] ^ 1]) + content[1:] if content else b"x")

    @rule(fingerprint=st.sampled_from("abc"), content=contents)
    def remember(self, fingerprint: str, content: bytes) -> None:
        self.records[fingerprint] = Artifact("files", digests.of_bytes(content))
        self.store.remember(fingerprint, self.records[fingerprint])

    @rule(fingerprint=st.sampled_from("abc"))
    def recall(self, fingerprint: str) -> None:
        assert self.store.record(fingerprint) == self.records.get(fingerprint)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store(self.folder, is_gathering=self.is_gathering)

    @rule()
    def verify(self) -> None:
        self.store.verify()
        assert {kept.name for kept in self.store.entries() if kept.kind == "blob"} == {
            digests.of_bytes(content) for content in self.sound
        }

    @rule()
    def make_room(self) -> None:
        self.store.gc(limit=0)
        assert self.store.entries() == []
        self.sound.clear()
        self.records.clear()

    @precondition(lambda self: self.sound)
    @rule()
    def lose_the_index(self) -> None:
        self.store.close()
        change(self.folder / "cache.db", b"not a database, surely" * 100)
        self.records.clear()

    @invariant()
    def nothing_half_done(self) -> None:
        assert self.is_gathering or leftovers(self.folder) == []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.temporary.cleanup()


class GatheringStoreMachine(StoreMachine):
    """The same of a store that gathers what it writes."""

    is_gathering = True


TestStoreMachine = StoreMachine.TestCase
TestGatheringStoreMachine = GatheringStoreMachine.TestCase
for machine in (TestStoreMachine, TestGatheringStoreMachine):
    machine.settings = settings(max_examples=40, stateful_step_count=25)
