from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbake.contract import Artifact, Part
from imgbake.engine import ledger


def _record(node: str, value: str = "1", *, seconds: float = 1.0) -> ledger.Record:
    parts = (Part("option run", value),)
    artifact = Artifact("files", digest=f"sha256:{value}")
    return ledger.record(node, f"fp-{value}", parts, artifact, seconds=seconds, finished=5.0, why=("new",))


def test_the_newest_record_of_a_node_counts(tmp_path: Path) -> None:
    book = ledger.Ledger(tmp_path / "ledger")
    for value in ("1", "2"):
        book.add(_record("task:a", value))
    book.close()
    last = ledger.Ledger(tmp_path / "ledger").last("task:a")
    assert last is not None
    assert (last.fingerprint, last.parts, last.artifact.digest) == (
        "fp-2",
        (Part("option run", "2"),),
        "sha256:2",
    )


def test_a_node_that_never_ran_has_no_record(tmp_path: Path) -> None:
    assert ledger.Ledger(tmp_path / "ledger").last("task:a") is None


@settings(max_examples=60)
@given(cut=st.integers(min_value=0, max_value=2000), flip=st.integers(min_value=0, max_value=2000))
def test_a_damaged_file_gives_a_sound_beginning_and_can_be_written_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("state") / "ledger"
    book = ledger.Ledger(path)
    for number in range(8):
        book.add(_record(f"task:{number}", str(number)))
    book.close()
    data = bytearray(path.read_bytes())
    data[flip % len(data)] ^= 0xFF
    path.write_bytes(data[: cut % (len(data) + 1)])

    found = ledger.Ledger(path)
    names = found.nodes()
    assert names == tuple(f"task:{number}" for number in range(len(names)))
    found.add(_record("task:new", "9"))
    found.close()
    again = ledger.Ledger(path)
    assert again.nodes() == (*names, "task:new")


def test_history_is_dropped_when_it_outweighs_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    book = ledger.Ledger(path)
    for _ in range(30):
        book.add(_record("task:a", "x" * 100_000))
    book.close()
    assert path.stat().st_size < 500_000  # one record has it four times
    last = ledger.Ledger(path).last("task:a")
    assert last is not None and last.seconds == 1.0


def test_a_record_that_found_no_room_harms_none_that_follow(tmp_path: Path) -> None:
    book = ledger.Ledger(tmp_path / "ledger")
    book.add(_record("task:a"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "ledger").stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            book.add(_record("task:b", "x" * 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    book.add(_record("task:c"))
    book.add(_record("task:d"))
    book.close()
    assert ledger.Ledger(tmp_path / "ledger").nodes() == ("task:a", "task:c", "task:d")
