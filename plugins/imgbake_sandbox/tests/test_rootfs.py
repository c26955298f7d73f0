"""Extracted layers are made once, are whole or not there, and stay while somebody uses them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pwd
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import msgspec
import pytest

from imgbake.api import Interrupted, RunContext, StepError
from imgbake_sandbox import rootfs
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.identity import candidates
from imgbake_sandbox.rootfs import Rootfs
from imgbake_sandbox.tests.people import as_ordinary
from imgbake_sandbox.tests.trees import needs_root

pytestmark = needs_root


class Ending:
    """A step's context that ends the step when it has been asked so often."""

    def __init__(self, checks: int) -> None:
        self._left = iter(range(checks))

    def check(self) -> None:
        if next(self._left, None) is None:
            raise Interrupted

    def progress(self, done: int, total: int) -> None:
        pass


class Store:
    """A folder for extracted layers, and layers to extract."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self._blobs: dict[str, Path] = {}

    def layer(self, *names: str, size: int = 0) -> str:
        """A new layer with these files, and its digest."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = size
                tar.addfile(info, io.BytesIO(bytes(size)))
        return self.blob(out.getvalue())

    def blob(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._blobs[digest] = self.folder / f"blob-{len(self._blobs)}"
        self._blobs[digest].write_bytes(data)
        return digest

    def path(self, digest: str) -> Path:
        self.asked.append(digest)
        return self._blobs[digest]

    @property
    def rootfs(self) -> Rootfs:
        return Rootfs(self.folder, Chores(next(candidates())))

    @contextlib.contextmanager
    def held(self, *layers: str, checks: int | None = None) -> Iterator[tuple[Path, ...]]:
        """The layers' folders, for a step that must end when it has checked so often."""
        chores = Chores(next(candidates()))
        if checks is not None:
            chores = Chores(next(candidates()), cast(RunContext, Ending(checks)))
        with Rootfs(self.folder, chores).held(layers, self.path) as folders:
            yield folders

    def names(self) -> list[str]:
        """What is in the folder of layers, digests shortened."""
        return sorted(name[:6] + name[64:] for name in os.listdir(self.folder / "rootfs"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def _short(digest: str, ending: str = "") -> str:
    return digest.removeprefix("sha256:")[:6] + ending


def test_layers_are_extracted_once_and_shared(store: Store) -> None:
    one, two, three = store.layer("a"), store.layer("b"), store.layer("c")
    with store.held(one, two) as first, store.held(two, three) as second:
        assert [sorted(os.listdir(folder)) for folder in first] == [["a"], ["b"]]
        assert first[1] == second[0]
    with store.held(three, two, one):
        pass
    assert sorted(store.asked) == sorted([one, two, three])


def test_no_layers_are_no_folders(store: Store) -> None:
    with store.held() as folders:
        assert folders == ()


def test_a_layer_that_comes_twice_counts_where_it_is_highest(store: Store) -> None:
    one, two = store.layer("a"), store.layer("b")
    with store.held(one, one, two, one) as folders:
        assert [os.listdir(folder) for folder in folders] == [["b"], ["a"]]


def test_what_is_hidden_altogether_is_left_out(store: Store) -> None:
    hiding = store.layer(".wh..wh..opq", "b")
    with store.held(store.layer("a"), hiding, store.layer("c")) as folders:
        assert [os.listdir(folder) for folder in folders] == [["b"], ["c"]]


def test_others_can_not_look_into_them(store: Store) -> None:
    with store.held(store.layer("a")) as (folder,):
        assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_many_who_want_the_same_at_once_get_it_from_one(store: Store) -> None:
    layers = [store.layer(*(f"{number}/{name}" for name in range(300))) for number in range(3)]

    def use(_: int) -> int:
        with store.held(*layers) as folders:
            return sum(len(list(folder.rglob("*"))) for folder in folders)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(16))) == [3 * 301] * 16
    assert sorted(store.asked) == sorted(layers)


def test_a_damaged_layer_leaves_nothing(store: Store) -> None:
    damaged, sound = store.blob(b"<html>" * 1000), store.layer("a")
    with (
        pytest.raises(StepError, match=f"{damaged} can't be extracted: a number in a header is none"),
        store.held(damaged, sound),
    ):
        pass
    assert store.names() == sorted([_short(damaged, ".lock"), _short(sound), _short(sound, ".lock")])
    assert store.rootfs.make_room(0, float("inf")).number == 1  # nobody holds it


def test_an_interrupted_extraction_leaves_nothing(store: Store) -> None:
    layer = store.layer(*map(str, range(2000)))
    with pytest.raises(Interrupted), store.held(layer, checks=3):
        pass
    assert store.names() == [_short(layer, ".lock")]
    with store.held(layer) as (folder,):
        assert len(os.listdir(folder)) == 2000


def test_waiting_for_another_ends_when_the_step_must(store: Store) -> None:
    layer = store.layer("a")
    lock = store.folder / "rootfs" / f"{layer.removeprefix('sha256:')}.lock"
    lock.parent.mkdir()
    with subprocess.Popen(
        ["flock", lock, "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(Interrupted), store.held(layer, checks=3):
            pass
        os.killpg(os.getpgid(other.pid), 0)
        other.kill()


_KILLED = """
import os, signal, sys
from pathlib import Path
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.identity import candidates
from imgbake_sandbox.rootfs import Rootfs
store, layer, blob = sys.argv[1:]
left = iter(range(5))
def check():
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
class Ctx:
    check = staticmethod(check)
    progress = staticmethod(lambda done, total: None)
with Rootfs(Path(store), Chores(next(candidates()), Ctx())).held([layer], lambda _: Path(blob)):
    pass
"""


def test_what_a_killed_process_left_is_swept(store: Store) -> None:
    layer = store.layer(*map(str, range(2000)))
    command = [sys.executable, "-P", "-c", _KILLED, str(store.folder), layer, str(store.path(layer))]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert store.names() == [_short(layer, ".lock"), _short(layer, ".part")]
    left = len(os.listdir(store.folder / "rootfs" / f"{layer.removeprefix('sha256:')}.part"))
    assert 0 < left < 2000
    other = store.layer("other")
    with store.held(other):
        assert store.names() == sorted([_short(other), _short(other, ".lock")])
    with store.held(layer) as (folder,):
        assert len(os.listdir(folder)) == 2000


def test_a_layer_that_may_have_been_lost_with_the_power_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = store.layer("a")
    with store.held(layer) as (folder,):
        (folder / "a").write_bytes(b"lost")
    monkeypatch.setattr(rootfs, "_boot", lambda: "another")
    with store.held(layer) as (folder,):
        assert (folder / "a").read_bytes() == b""
    assert store.asked == [layer, layer]


def test_a_layer_that_was_used_long_after_it_was_made_survives_a_restart(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = store.layer("a")
    with store.held(layer):
        pass
    monkeypatch.setattr(rootfs, "_WRITTEN_AFTER", -1)
    with store.held(layer):
        pass
    monkeypatch.setattr(rootfs, "_boot", lambda: "another")
    with store.held(layer):
        pass
    assert store.asked == [layer]


def test_room_is_made_by_what_was_used_least_recently(store: Store) -> None:
    old, used, new = (store.layer(name, size=1000) for name in "abc")
    for layer in (old, used, new):
        with store.held(layer):
            time.sleep(0.01)
    with store.held(old):  # which makes it the most recent
        pass
    assert [layer.name[:6] for layer in store.rootfs.layers()] == [_short(used), _short(new), _short(old)]
    assert store.rootfs.make_room(2000) == rootfs.Freed(1, 1000)
    assert store.names() == sorted([_short(x, end) for x in (new, old) for end in ("", ".lock")])
    assert store.rootfs.make_room(10_000, unused_since=time.time() + 1) == rootfs.Freed(2, 2000)
    assert store.names() == []


def test_what_is_used_stays(store: Store) -> None:
    layer = store.layer("a", size=10)
    with store.held(layer) as (folder,):
        assert store.rootfs.make_room(0) == rootfs.Freed()
        assert (folder / "a").exists()
    assert store.rootfs.make_room(0) == rootfs.Freed(1, 10)


def test_a_folder_that_is_adopted_needs_no_extraction(store: Store) -> None:
    layer = store.layer("a")
    made = store.folder / "made"
    made.mkdir()
    (made / "a").write_bytes(b"")
    store.rootfs.adopt(layer, made, Extracted(1, 0, hides_all=False))
    with store.held(layer) as (folder,):
        assert os.listdir(folder) == ["a"]
    assert store.asked == []
    assert not made.exists()


def test_a_layer_that_is_there_stays_what_it_is(store: Store) -> None:
    layer = store.layer("a")
    made = store.folder / "made"
    made.mkdir()
    with store.held(layer) as (folder,):
        store.rootfs.adopt(layer, made, Extracted(0, 0, hides_all=False))
        assert os.listdir(folder) == ["a"]
    store.rootfs.adopt(layer, made, Extracted(0, 0, hides_all=False))
    assert made.exists()


def test_there_is_nothing_to_say_of_a_store_without_layers(store: Store) -> None:
    assert store.rootfs.layers() == []
    assert store.rootfs.make_room(0) == rootfs.Freed()


def test_makers_users_and_removers_at_once(store: Store) -> None:
    layers = [store.layer(str(number), size=10) for number in range(4)]
    ends = time.monotonic() + 2

    def use(number: int) -> None:
        while time.monotonic() < ends:
            wanted = layers[number % 4 :] + layers[: number % 4]
            with store.held(*wanted) as folders:
                for folder, layer in zip(folders, wanted, strict=True):
                    assert os.listdir(folder) == [str(layers.index(layer))]

    def remove(_: int) -> None:
        while time.monotonic() < ends:
            store.rootfs.make_room(0)

    with ThreadPoolExecutor(6) as pool:
        doing = [pool.submit(remove if number > 3 else use, number) for number in range(6)]
    for done in doing:
        done.result()


_AS_ORDINARY = """
import sys
from pathlib import Path
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.identity import candidates
from imgbake_sandbox.rootfs import Rootfs
kind, store, layer, blob = sys.argv[1:]
identity = next(each for each in candidates() if each.kind == kind)
rootfs = Rootfs(Path(store), Chores(identity))
with rootfs.held([layer], lambda _: Path(blob)) as (folder,):
    print(folder.name, (folder / "b").lstat().st_uid)
    print(rootfs.make_room(0, float("inf")).number)
print(rootfs.make_room(0, float("inf")).number, len(list(folder.parent.iterdir())))
"""


@pytest.mark.parametrize("kind", ["subordinate", "single"])
def test_an_ordinary_user_has_layers_of_their_own(
    kind: str, places: Callable[[], Path], ordinary: pwd.struct_passwd
) -> None:
    store = Store(places())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, owner in (("a", 0), ("b", 33), ("c", 0), ("c/d", 33)):
            info = tarfile.TarInfo(name)
            info.uid = owner
            info.mode = 0
            info.type = tarfile.DIRTYPE if name.startswith("c") else tarfile.REGTYPE
            tar.addfile(info)
    layer = store.blob(out.getvalue())
    os.chown(store.folder, ordinary.pw_uid, ordinary.pw_gid)
    words = ["-P", "-c", _AS_ORDINARY, kind, str(store.folder), layer, str(store.path(layer))]
    done = as_ordinary(words, ordinary)
    assert done.returncode == 0, done.stderr
    (name, uid), (while_used,), (after, left) = [line.split() for line in done.stdout.splitlines()]
    assert name.startswith(layer.removeprefix("sha256:") + "-")
    assert int(uid) == ordinary.pw_uid if kind == "single" else int(uid) > 65535
    assert (while_used, after, left) == ("0", "1", "0")


def test_the_map_of_ids_is_in_the_name(store: Store) -> None:
    root = next(candidates())
    some = msgspec.structs.replace(root, kind="subordinate")
    names = {rootfs._users(root), rootfs._users(some), rootfs._users(msgspec.structs.replace(some, uids=()))}
    assert len(names) == 3
    assert "" in names
