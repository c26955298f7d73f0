"""Opening the store's index: where it lies, and what is done when it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from diskcache.core import DBNAME

from imgbake import digest as digests
from imgbake.store.disk import BLOBS, Blob, Index
from imgbake.store.faults import is_damage

_DAMAGED = ".damaged"
_FILES = (DBNAME, DBNAME + "-wal", DBNAME + "-shm")


def open_index(folder: Path, size_limit: int, warn: Callable[[str], None], *, check: bool = False) -> Index:
    """Opens the index, and makes the folder and it where they don't exist.

    A damaged index is moved aside and made again from the blobs; the records are lost with it. With
    `check` the whole index is read to see. Raises OSError and sqlite3.Error.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the XDG base directory spec asks
    (folder / BLOBS).mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        try:
            index = Index(folder, size_limit)
            if not check or index.is_sound():
                return index
            index.close()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
        warn(f"the index of the store in {folder} was damaged; it was made again from the blobs")
        _move_aside(folder)
        index = Index(folder, size_limit)
        with index.transact():
            for digest, size in blob_files(folder):
                index.set(digest, Blob(size))
        return index


def blob_files(folder: Path) -> Iterator[tuple[str, int]]:
    """The digest and size of every blob's file."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / BLOBS) as entries:
        for entry in entries:
            digest = f"sha256:{entry.name}"
            if digests.is_digest(digest):
                with suppress(FileNotFoundError):
                    yield digest, entry.stat(follow_symlinks=False).st_size


def forget_damaged(folder: Path) -> None:
    """Removes the damaged index that was moved aside."""
    for name in _FILES:
        (folder / (name + _DAMAGED)).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lets one process at a time open the index, so that no two make or mend it at once."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _move_aside(folder: Path) -> None:
    for name in _FILES:
        with suppress(FileNotFoundError):
            (folder / name).replace(folder / (name + _DAMAGED))
