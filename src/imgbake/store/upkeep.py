"""What is in the store, and making room in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from imgbake.files import hashing
from imgbake.files.witness import signature
from imgbake.store.disk import Index, Row, filename
from imgbake.store.opening import blob_files, forget_damaged

T = TypeVar("T")

_AT_ONCE = 100  # rows deleted in one transaction, so that nobody waits long


class Kept(NamedTuple):
    """One thing in the store. `size` is in bytes, `used` in seconds since 1970."""

    kind: str  # "blob" or "record"
    name: str  # a digest or a fingerprint
    size: int
    used: float


class Usage(NamedTuple):
    """How much is in the store, in bytes and numbers."""

    blobs: int
    blob_bytes: int
    records: int
    record_bytes: int
    limit: int


class Freed(NamedTuple):
    """How much was removed."""

    number: int = 0
    size: int = 0


def entries(index: Index) -> list[Kept]:
    """Everything in the index, least recently used first."""
    return [
        Kept("record", row.key.removeprefix("record:"), row.size, row.used)
        if row.key.startswith("record:")
        else Kept("blob", row.key, row.size, row.used)
        for row in index.rows()
    ]


def usage(index: Index, limit: int) -> Usage:
    """Sums of `entries`."""
    sizes: dict[str, list[int]] = {"blob": [], "record": []}
    for kept in entries(index):
        sizes[kept.kind].append(kept.size)
    blobs, records = sizes["blob"], sizes["record"]
    return Usage(len(blobs), sum(blobs), len(records), sum(records), limit)


def make_room(index: Index, folder: Path, limit: int, unused_since: float, in_use_since: float) -> Freed:
    """Removes what was last used before `unused_since`, then the least recently used until all that
    is left takes no more than `limit` bytes. Times are in seconds since 1970.

    What was used after `in_use_since` stays: a process that is still running may count on it.
    """
    freed = _evict(index, limit, unused_since, in_use_since)
    strays = _unlink_strays(index, folder, in_use_since)
    return Freed(freed.number + strays.number, freed.size + strays.size)


def drop_oldest(folder: Path, size: int) -> None:
    """Removes at least so many bytes of blobs without the index, which drops their rows when asked.

    Those that were written first go first.
    """
    files = [(folder / filename(digest), size) for digest, size in blob_files(folder)]
    for file, freed in sorted(files, key=lambda each: signature(each[0])[1]):
        if size <= 0:
            return
        file.unlink(missing_ok=True)
        size -= freed


def check_blobs(folder: Path) -> Iterator[tuple[str, bool]]:
    """Reads every blob: its digest, and whether it is sound."""
    for some in _slices(list(blob_files(folder))):
        found = hashing.of_files([(str(folder / filename(digest)), size) for digest, size in some])
        yield from ((digest, now == digest) for (digest, _), now in zip(some, found, strict=True))


def clear(index: Index, folder: Path) -> None:
    """Removes everything, and what is left of a damaged index."""
    index.clear()
    _unlink_strays(index, folder, float("inf"))
    forget_damaged(folder)


def _evict(index: Index, limit: int, unused_since: float, in_use_since: float) -> Freed:
    over = index.volume() - limit
    doomed: list[Row] = []
    for row in index.rows():
        if row.used >= in_use_since or (over <= 0 and row.used >= unused_since):
            break
        doomed.append(row)
        over -= row.size
    gone = [row for rows in _slices(doomed) for row in index.evict_unused(rows)]
    return Freed(len(gone), sum(row.size for row in gone))


def _unlink_strays(index: Index, folder: Path, older_than: float) -> Freed:
    """Removes blobs without a row: what a process left that was killed between the two."""
    strays = [
        (digest, size)
        for digest, size in blob_files(folder)
        if index.blob(digest) is None and signature(folder / filename(digest))[1] < older_than * 1e9
    ]
    for some in _slices(strays):
        index.unlink([digest for digest, _ in some])
    return Freed(len(strays), sum(size for _, size in strays))


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), _AT_ONCE):
        yield items[first : first + _AT_ONCE]
