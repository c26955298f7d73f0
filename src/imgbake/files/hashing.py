"""The digests of many files at once, on all cores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import chain

from imgbake import digest as digests

_SMALL = 1 << 15  # bytes: below it, finding and opening a file takes longer than hashing it
_PIECE = 1 << 18  # bytes: below it, a file is read in one piece
_ALONE = 1 << 21  # bytes in all: less than this is hashed before a second thread has started
_BATCH = 1 << 22  # bytes, and at most as many files as below, that a thread takes at a time
_BATCH_FILES = 256

_File = tuple[str, int]
_Found = str | OSError


def of_files(files: Sequence[_File]) -> list[_Found]:
    """The digest of each file, given with about its size in bytes, or why it could not be read.

    All small files are read by this thread: several would only wait for the interpreter's lock, which
    each of them needs between any two calls of the system.
    """
    if sum(size for _, size in files) < _ALONE:
        return _of_batch(files)
    from concurrent.futures import ThreadPoolExecutor  # costs milliseconds, and few need it

    with ThreadPoolExecutor(min(8, max(1, (os.cpu_count() or 1) - 1)), "hash") as pool:
        batches = pool.map(_of_batch, _batches([file for file in files if file[1] >= _SMALL]))
        small = iter(_of_batch([file for file in files if file[1] < _SMALL]))
        large = chain.from_iterable(batches)
        return [next(small if size < _SMALL else large) for _, size in files]


def _batches(files: Sequence[_File]) -> list[list[_File]]:
    batches: list[list[_File]] = [[]]
    total = 0
    for file in files:
        if total >= _BATCH or len(batches[-1]) >= _BATCH_FILES:
            batches.append([])
            total = 0
        batches[-1].append(file)
        total += file[1]
    return batches


def _of_batch(files: Sequence[_File]) -> list[_Found]:
    found: list[_Found] = []
    room = memoryview(bytearray(min(_PIECE, 1 + max((size for _, size in files), default=0))))
    for path, size in files:
        try:
            found.append(_of_short(path, room) if size < len(room) else digests.of_file(path))
        except OSError as error:
            found.append(error)
    return found


def _of_short(path: str, room: memoryview) -> str:
    """As `digests.of_file`, in the fewest system calls and without new memory. It may have grown since."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        count = os.readv(file, (room,))
    finally:
        os.close(file)
    if count == len(room):
        return digests.of_file(path)
    return "sha256:" + hashlib.sha256(room[:count]).hexdigest()
