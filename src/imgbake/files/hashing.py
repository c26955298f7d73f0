"""The digests of many files at once, on all cores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from imgbake import digest as digests

_SMALL = 1 << 18  # bytes: read in one piece
_ALONE = 1 << 21  # bytes in all: less than this is hashed before a second thread has started
_BATCH = 1 << 22  # bytes, and at most as many files as below, that a thread takes at a time
_BATCH_FILES = 256


def of_files(files: Sequence[tuple[str, int]]) -> list[str | OSError]:
    """The digest of each file, given with about its size in bytes, or why it could not be read."""
    if sum(size for _, size in files) < _ALONE:
        return _of_batch(files)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), "hash") as pool:
        return [digest for batch in pool.map(_of_batch, _batches(files)) for digest in batch]


def _batches(files: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    batches: list[list[tuple[str, int]]] = [[]]
    total = 0
    for file in files:
        if total >= _BATCH or len(batches[-1]) >= _BATCH_FILES:
            batches.append([])
            total = 0
        batches[-1].append(file)
        total += file[1]
    return batches


def _of_batch(files: Sequence[tuple[str, int]]) -> list[str | OSError]:
    found: list[str | OSError] = []
    for path, size in files:
        try:
            found.append(_of_small(path) if size < _SMALL else digests.of_file(path))
        except OSError as error:
            found.append(error)
    return found


def _of_small(path: str) -> str:
    """As `digests.of_file`, in the fewest system calls. The file may have grown since."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(file, _SMALL)
        if len(data) == _SMALL:
            return digests.of_file(path)
    finally:
        os.close(file)
    return "sha256:" + hashlib.sha256(data).hexdigest()
