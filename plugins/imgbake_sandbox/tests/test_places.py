"""Folders of sandboxes: nobody's twice, gone with their process; and caches: used by one, or by several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgbake.api import CacheFolder, Interrupted
from imgbake_sandbox import places
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.identity import candidates


@pytest.fixture
def chores() -> Chores:
    return Chores(next(candidates()))


def nothing() -> None:
    """Does not end the waiting."""


def end() -> None:
    raise Interrupted


def names(shelf: Path) -> list[str]:
    return sorted(path.name for path in (shelf / "work").iterdir())


def test_a_place_is_empty_and_gone_afterwards(tmp_path: Path, chores: Chores) -> None:
    with places.place(tmp_path / "shelf", chores) as place:
        assert not list(place.upper.iterdir()) and not list(place.work.iterdir())
        (place.upper / "a").mkdir()
        (place.upper / "a/b").write_text("x")
    assert names(tmp_path / "shelf") == []


def test_a_place_is_gone_after_an_error_too(tmp_path: Path, chores: Chores) -> None:
    with pytest.raises(Interrupted), places.place(tmp_path, chores) as place:
        (place.upper / "a").write_text("x")
        raise Interrupted
    assert names(tmp_path) == []


def test_many_at_once_do_not_get_in_each_others_way(tmp_path: Path, chores: Chores) -> None:
    def use(number: int) -> None:
        for _ in range(100):
            with places.place(tmp_path, chores) as place:
                (place.upper / str(number)).write_text("x")
                assert [path.name for path in place.upper.iterdir()] == [str(number)]

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(use, number) for number in range(8)]:
            done.result()
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_is_not(
    tmp_path: Path, chores: Chores
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from imgbake_sandbox import places\n"
        "from imgbake_sandbox.chores import Chores; from imgbake_sandbox.identity import candidates\n"
        "with places.place(Path(sys.argv[1]), Chores(next(candidates()))) as place:\n"
        "    (place.upper / 'x').write_text('x'); print('there', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with places.place(tmp_path, chores):
        assert len(names(tmp_path)) == 4
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(names(tmp_path)) == 2
    with places.place(tmp_path, chores):
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == []


def test_a_cache_keeps_what_is_in_it(tmp_path: Path) -> None:
    for content in ("", "one", "two"):
        with places.cache(tmp_path, CacheFolder("/c"), nothing) as folder:
            found = folder / "kept"
            assert (found.read_text() if found.exists() else "") == content
            found.write_text({"": "one", "one": "two", "two": ""}[content])


def test_caches_of_other_paths_are_others(tmp_path: Path) -> None:
    with (
        places.cache(tmp_path, CacheFolder("/a"), end) as one,
        places.cache(tmp_path, CacheFolder("/b"), end) as other,
    ):
        assert one != other


def test_every_user_may_write_to_a_cache(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with places.cache(tmp_path, CacheFolder("/c"), nothing) as folder:
            assert folder.stat().st_mode & 0o7777 == 0o1777
    finally:
        os.umask(before)


def test_a_cache_is_waited_for(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with places.cache(tmp_path, CacheFolder("/c"), nothing):
            order.append("second")

    with places.cache(tmp_path, CacheFolder("/c"), nothing):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_who_waits_for_a_cache_can_be_ended(tmp_path: Path) -> None:
    wanted = CacheFolder("/c")
    with (
        places.cache(tmp_path, wanted, nothing),
        pytest.raises(Interrupted),
        places.cache(tmp_path, wanted, end),
    ):
        pass


@pytest.mark.parametrize("first", [True, False])
def test_a_shared_cache_is_for_several_but_not_beside_one_who_wants_it_alone(
    tmp_path: Path, first: bool
) -> None:
    shared, alone = CacheFolder("/c", True), CacheFolder("/c", False)
    with (
        places.cache(tmp_path, shared, end) as one,
        places.cache(tmp_path, shared, end) as other,
    ):
        assert one == other
    with (
        places.cache(tmp_path, shared if first else alone, end),
        pytest.raises(Interrupted),
        places.cache(tmp_path, alone if first else shared, end),
    ):
        pass


def test_caches_are_listed_with_the_time_of_their_last_use(tmp_path: Path) -> None:
    assert places.caches(tmp_path) == []
    with places.cache(tmp_path, CacheFolder("/c"), nothing) as folder:
        pass
    ((found, used),) = places.caches(tmp_path)
    assert found == folder and abs(used - time.time()) < 10


def test_a_cache_in_use_is_not_removed(tmp_path: Path, chores: Chores) -> None:
    with places.cache(tmp_path, CacheFolder("/c", True), nothing) as folder:
        assert not places.remove_cache(folder, chores) and folder.is_dir()
    (folder / "x").write_text("x")
    assert places.remove_cache(folder, chores)
    assert not list((tmp_path / "caches").iterdir())


def test_a_removed_cache_is_made_anew(tmp_path: Path, chores: Chores) -> None:
    def use() -> None:
        for _ in range(100):
            with places.cache(tmp_path, CacheFolder("/c"), nothing) as folder:
                (folder / "x").write_text("x")

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(use) for _ in range(2)]
        while not all(done.done() for done in running):
            for folder, _ in places.caches(tmp_path):
                places.remove_cache(folder, chores)
        for done in running:
            done.result()
