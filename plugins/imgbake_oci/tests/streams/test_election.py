"""Writers that share nothing but tags, in every order that Hypothesis can think of."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbake.api import BakeError, digest
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.streams import election, shelf
from imgbake_oci.streams.marks import Mark, parse
from imgbake_oci.streams.shelf import RegistryShelf
from imgbake_oci.streams.tags import Repository

WRITERS, CHANGES = 3, 3
TURNS = st.one_of(st.integers(1, 4), st.integers(1, 60))
DIES = st.integers(0, 20).map(lambda number: number == 20)
ORDERS = st.lists(st.tuples(st.integers(0, WRITERS - 1), TURNS, DIES), max_size=80)
"""Who goes on, for how many turns, and whether that was the last that is heard of it."""


class Killed(BaseException):
    """A writer is gone."""


class Place:
    """What a registry holds, and the least that it promises.

    A tag that is being put is listed before it can be read, and a list is made of two looks, in between
    which anything may happen.
    """

    def __init__(self) -> None:
        self.listed: dict[str, None] = {}
        self.tags: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.is_late: Callable[[str], bool] = lambda tag: digest.of_bytes(tag.encode())[-1] > "7"


class Modelled(Repository):
    """The place, seen by a writer who has a turn for every single thing that it does."""

    def __init__(self, place: Place, turn: Callable[[], None]) -> None:
        self._place = place
        self._turn = turn

    def all(self) -> Iterable[str]:
        self._turn()
        first = {tag for tag in self._place.listed if not self._place.is_late(tag)}
        self._turn()
        second = {tag for tag in self._place.listed if self._place.is_late(tag)}
        return sorted(first | second)

    def put(self, tag: str, manifest: bytes) -> None:
        assert self._place.tags.get(tag, manifest) == manifest
        self._turn()
        self._place.listed[tag] = None
        self._turn()
        self._place.tags[tag] = manifest

    def get(self, tag: str) -> bytes | None:
        self._turn()
        return self._place.tags.get(tag)

    def digest(self, tag: str) -> str:
        found = self.get(tag)
        return digest.of_bytes(found) if found else ""

    def remove(self, tag: str) -> None:
        self._turn()
        self._place.tags.pop(tag, None)
        self._place.listed.pop(tag, None)

    def put_blob(self, media_type: str, data: bytes) -> Descriptor:
        return self.add_blob(media_type, data)

    def add_blob(self, media_type: str, data: bytes) -> Descriptor:
        self._place.blobs[digest.of_bytes(data)] = data
        return Descriptor(media_type, digest.of_bytes(data), len(data))

    def get_blob(self, descriptor: Descriptor) -> bytes:
        return self._place.blobs[descriptor.digest]


class ModelledShelf(RegistryShelf):
    def __init__(self, place: Place, turn: Callable[[], None]) -> None:
        super().__init__("oci://registry.example/streams", lambda: None)
        self._opened = Modelled(place, turn)
        self._turn = turn

    def _wait(self, seconds: float) -> None:
        self._turn()


class Writer:
    """Adds its changes to the stream, one turn after another; may be killed at any."""

    def __init__(self, name: int, place: Place, changes: int = CHANGES) -> None:
        self.done: list[str] = []  # changes that it was told are in
        self.began: list[str] = []
        self.is_over = self._is_killed = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._shelf = ModelledShelf(place, self._turn)
        self._thread = threading.Thread(target=self._run, args=(name, changes))
        self._thread.start()

    def step(self) -> None:
        self._go.release()
        self._stopped.acquire()

    def kill(self) -> None:
        self._is_killed = True
        if not self.is_over:
            self.step()
        self._thread.join()

    def _turn(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._is_killed:
            raise Killed

    def _run(self, name: int, changes: int) -> None:
        self._go.acquire()
        try:
            for number in range(changes):
                self.began.append(f"{name}-{number}")
                with contextlib.suppress(BakeError):  # it was away for so long that it can't tell
                    self._add(self.began[-1])
                    self.done.append(self.began[-1])
        except Killed:
            pass
        finally:
            self.is_over = True
            self._stopped.release()

    def _add(self, change: str) -> None:
        while True:
            if self._is_killed:
                raise Killed
            kept = self._shelf.load("python")
            there = json.loads(kept.data) if kept else []
            if self._shelf.save(
                "python", json.dumps([*there, change]).encode(), kept.version if kept else ""
            ):
                return


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions are removed at once, so that a slow writer meets that."""
    monkeypatch.setattr(election, "_KEPT", 1)
    monkeypatch.setattr(shelf, "_TIDIES", 1)


@settings(max_examples=150)
@given(orders=ORDERS)
def test_no_change_is_lost_or_made_twice_in_any_order_of_events(orders: list[tuple[int, int, bool]]) -> None:
    place = Place()
    writers = [Writer(name, place) for name in range(WRITERS)]
    try:
        for which, turns, dies in orders:
            writer = writers[which]
            for _ in range(turns):
                if writer.is_over:
                    break
                writer.step()
            if dies:
                writer.kill()
        for writer in writers:
            while not writer.is_over:
                writer.step()
        _check(place, writers)
    finally:
        for writer in writers:
            writer.kill()


def test_who_slept_while_old_tags_were_removed_does_not_decide_again() -> None:
    place = Place()
    place.is_late = lambda tag: tag != "_python.00000003.d"
    _finish(Writer(0, place, 1))
    sleeper = Writer(1, place, 1)
    _until(sleeper, lambda: any(mark.version == 2 for mark in parse(place.tags)))
    for _ in range(2):
        sleeper.step()  # it looks, and sees nobody else
    _finish(Writer(2, place, 1))
    _until(sleeper, lambda: any("0001b" in str(mark) for mark in parse(place.tags) if mark.version == 2))
    sleeper.step()  # it looks once more, and sees half of what is there
    _finish(Writer(3, place, 1))
    _finish(sleeper)
    kept = ModelledShelf(place, lambda: None).load("python")
    assert kept is not None and json.loads(kept.data) == ["0-0", "2-0", "3-0"]
    assert sleeper.began and not sleeper.done


def test_old_tags_are_removed_in_the_order_that_sleepers_rely_on() -> None:
    place = Place()
    removed: list[Mark] = []

    class Watched(Modelled):
        def remove(self, tag: str) -> None:
            removed.extend(parse([tag]))

    for version in (5, 4, 1, 3, 2):
        for tag in (f"{version:08x}.d", f"{version:08x}.0001aabcdef0123", f"{version:08x}.0001babcdef0123"):
            place.listed[f"_python.{tag}"] = None
    place.listed["_other.00000001.d"] = None
    election.tidy(Watched(place, lambda: None), "python", 4)
    versions = [(mark.version, mark.is_decided) for mark in removed]
    assert versions == [(1, True), (2, False), (2, False), (2, True), (3, False), (3, False), (3, True)]


def _finish(writer: Writer) -> None:
    _until(writer, lambda: False)
    writer.kill()


def _until(writer: Writer, is_reached: Callable[[], bool]) -> None:
    while not writer.is_over and not is_reached():
        writer.step()


def _check(place: Place, writers: list[Writer]) -> None:
    reader = ModelledShelf(place, lambda: None)
    kept = reader.load("python")
    found = json.loads(kept.data) if kept else []
    began = [change for writer in writers for change in writer.began]
    done = [change for writer in writers for change in writer.done]
    assert len(set(found)) == len(found)
    assert set(done) <= set(found) <= set(began)
    for writer in writers:
        assert [change for change in found if change in writer.began] == sorted(
            set(found) & set(writer.began)
        )


def test_every_tag_says_what_it_was_made_of() -> None:
    longest = "n" * 100
    marks = [
        Mark(longest, 0xFFFFFFFF, "a", 0xFFFF, "0123456789"),
        Mark("a.b_c__d-e", 1, "b", 1, "abcdef0123"),
        Mark("python", 2, "d"),
        Mark("python", 3, "x"),
    ]
    assert parse([*map(str, marks), "latest", "_python", "_python.1.d"]) == marks
    assert max(len(str(mark)) for mark in marks) <= 128
