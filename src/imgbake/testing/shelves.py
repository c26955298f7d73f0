"""What every shelf of image streams is held to, as tests that its author inherits.

    from imgbake.testing.shelves import ShelfConformance

    class TestMyShelf(ShelfConformance):
        @pytest.fixture
        def place(self) -> Callable[[], Shelf]:
            address = "mine://" + ...            # somewhere new, and empty
            return lambda: MyShelf(address, lambda: None)

`place` gives another shelf at the same address each time it is called, as another machine would have it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar

import pytest

from imgbake.contract import Kept, Shelf
from imgbake.streams import shelving
from imgbake.streams.changes import Pointed, point
from imgbake.streams.model import Revision, Stream

Place = Callable[[], Shelf]
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_TEXT = b'{"tags": {"3.12": "\xc3\xa4\xe2\x82\xac"}}\n'


class ShelfConformance:
    """Subclass it, give the fixture `place`, and pytest finds the tests."""

    writers: ClassVar[int] = 8
    changes: ClassVar[int] = 6  # that each of them makes

    @pytest.fixture
    def place(self) -> Place:
        """Makes shelves at one place, which is empty at first."""
        raise NotImplementedError

    def test_it_is_empty_at_first(self, place: Place) -> None:
        """No names, no documents, and nothing to remove."""
        shelf = place()
        assert list(shelf.names()) == []
        assert shelf.load("python") is None

    def test_others_read_what_was_saved(self, place: Place) -> None:
        """To the byte, and by the name."""
        assert place().save("python", _TEXT, "")
        assert _data(place(), "python") == _TEXT
        assert list(place().names()) == ["python"]

    def test_documents_may_be_large(self, place: Place) -> None:
        """Ten thousand tags are some megabytes."""
        text = b"0123456789abcde\n" * (4 << 16)
        assert place().save("python", text, "")
        assert _data(place(), "python") == text

    def test_streams_are_listed_by_name(self, place: Place) -> None:
        """Whatever a stream may be called."""
        names = sorted(["python", "py", "python-3", "a.b_c__d", "0", "n" * 100])
        shelf = place()
        for name in reversed(names):
            assert shelf.save(name, name.encode(), "")
        assert list(place().names()) == names
        assert [_data(place(), name) for name in names] == [name.encode() for name in names]

    def test_a_version_belongs_to_a_content(self, place: Place) -> None:
        """It is the same for everybody, and another one after a change."""
        place().save("python", b"one", "")
        first = _kept(place(), "python")
        assert _kept(place(), "python").version == first.version
        assert place().save("python", b"two", first.version)
        assert _kept(place(), "python").version != first.version

    def test_what_is_there_is_not_made_again(self, place: Place) -> None:
        """Who expects nothing finds something, and leaves it."""
        place().save("python", b"one", "")
        assert not place().save("python", b"two", "")
        assert _data(place(), "python") == b"one"

    def test_what_another_has_changed_is_not_overwritten(self, place: Place) -> None:
        """A version that is gone, and one that was never there."""
        shelf = place()
        shelf.save("python", b"one", "")
        old = _kept(shelf, "python")
        place().save("python", b"two", old.version)
        assert not shelf.save("python", b"three", old.version)
        assert not shelf.save("ruby", b"three", old.version)
        assert _data(place(), "python") == b"two"
        assert place().load("ruby") is None

    def test_removing_is_conditional_too(self, place: Place) -> None:
        """What another has changed stays; what nobody has changed goes, and can be made again."""
        shelf = place()
        shelf.save("python", b"one", "")
        shelf.save("ruby", b"one", "")
        old = _kept(shelf, "python")
        place().save("python", b"two", old.version)
        assert not shelf.remove("python", old.version)
        assert shelf.remove("python", _kept(shelf, "python").version)
        assert place().load("python") is None
        assert list(place().names()) == ["ruby"]
        assert place().save("python", b"three", "")

    def test_only_one_can_be_the_first(self, place: Place) -> None:
        """However many try at once."""
        start = threading.Barrier(self.writers)

        def make(number: int) -> bool:
            shelf = place()
            start.wait(30)
            return shelf.save("python", str(number).encode(), "")

        with ThreadPoolExecutor(self.writers) as pool:
            done = list(pool.map(make, range(self.writers)))
        assert done.count(True) == 1
        assert _data(place(), "python") == str(done.index(True)).encode()

    def test_no_change_is_lost(self, place: Place) -> None:
        """Everybody adds to a tag of their own, and to one that is everybody's."""

        def write(writer: int) -> None:
            shelf = place()
            for number in range(self.changes):
                revision = Revision(f"{writer}-{number}", f"image@{writer}-{number}", _NOW)
                found = {f"own-{writer}": Pointed(revision), "shared": Pointed(revision)}
                shelving.change(shelf, "python", partial(_pointed, found=found))

        with ThreadPoolExecutor(self.writers) as pool:
            list(pool.map(write, range(self.writers)))
        stream = shelving.existing(place(), "python")
        for writer in range(self.writers):
            wanted = [f"{writer}-{number}" for number in reversed(range(self.changes))]
            assert [each.image for each in stream.tags[f"own-{writer}"].history] == wanted
            shared = [each.image for each in stream.tags["shared"].history]
            assert [image for image in shared if image.startswith(f"{writer}-")] == wanted

    def test_readers_see_whole_documents(self, place: Place) -> None:
        """While somebody writes."""
        texts = [bytes([48 + number]) * (100_000 + number) for number in range(5)]
        assert place().save("python", texts[-1], "")
        done = threading.Event()

        def read() -> set[bytes]:
            shelf, seen = place(), set()
            while not done.is_set():
                seen.add(_data(shelf, "python"))
            return seen

        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                shelf = place()
                for text in texts:
                    assert shelf.save("python", text, _kept(shelf, "python").version)
            finally:
                done.set()
            seen = set().union(*(each.result() for each in reading))
        assert seen <= set(texts)

    def test_a_proof_changes_with_the_document(self, place: Place) -> None:
        """If there is one: builds go by it."""
        shelf = place()
        proof = shelf.proof("python")
        if not proof:
            return
        seen = []
        for text in (b"one", b"two"):
            kept = shelf.load("python")
            shelf.save("python", text, kept.version if kept else "")
            with open(proof, "rb") as file:
                seen.append(file.read())
        assert seen[0] != seen[1]


def _pointed(stream: Stream | None, found: dict[str, Pointed]) -> Stream:
    return point(stream or Stream(_NOW), found)


def _kept(shelf: Shelf, name: str) -> Kept:
    kept = shelf.load(name)
    assert kept is not None
    return kept


def _data(shelf: Shelf, name: str) -> bytes:
    return _kept(shelf, name).data
