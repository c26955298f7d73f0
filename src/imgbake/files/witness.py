"""What a file looked like: the proof, without reading anything, that nothing has moved since.

A signature is what `lstat` says of a path. Two equal signatures mean equal content, except that a
file written twice within one tick of the file system's clock keeps its times: a signature taken
that soon after a change proves nothing ("racily clean", as git's index calls it), see `is_settled`.

A build with nothing to do spends most of its time in `first_moved`, so this module imports nothing
heavy and its loop is written out.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` and `collections.abc` are heavy
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    Signatures = array[int] | memoryview[int]

Signature = tuple[int, int, int, int]
"""Modification and change time in nanoseconds, size in bytes, inode."""

ABSENT: Signature = (0, 0, 0, 0)
"""The signature of a path where there is nothing, or nothing that we may look at."""

UNSETTLED: Signature = (-1, -1, -1, -1)
"""A signature that no file has, for one that proves nothing."""

SETTLE_NS = 50_000_000
"""Clocks of file systems tick every 1 to 10 ms."""

COARSE_SETTLE_NS = 2_100_000_000
"""Some keep whole seconds, or every other one (FAT)."""

_INODE_BITS = (1 << 63) - 1  # some file systems use all 64 bits, an array of signed numbers holds 63
_OPEN_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)


def signature(path: str | os.PathLike[str], dir_fd: int | None = None) -> Signature:
    """What the path looks like now, itself and not what it links to. ABSENT if we can't tell."""
    try:
        return of_stat(os.lstat(path, dir_fd=dir_fd))
    except OSError:
        return ABSENT


def of_stat(stat: os.stat_result) -> Signature:
    """The signature in the answer of a call to stat."""
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino & _INODE_BITS)


def is_settled(signature: Signature, read_at_ns: int) -> bool:
    """Would a change after `read_at_ns`, the time when the signature was taken, have shown in it?

    A modification time in the future was set by hand and says nothing; the change time can't be set.
    """
    modified, changed = signature[:2]
    coarse = changed % 1_000_000_000 == 0
    edge = read_at_ns - (COARSE_SETTLE_NS if coarse else SETTLE_NS)
    return changed < edge and (modified < edge or modified > read_at_ns)


def pack(signatures: Iterable[Signature]) -> array[int]:
    """Signatures as one array of 64-bit numbers, four for each."""
    from array import array
    from itertools import chain

    return array("q", chain.from_iterable(signatures))


def first_moved(root: str, paths: Sequence[str], signatures: Signatures) -> str | None:
    """The first path that doesn't look as it did, or None.

    Relative paths are below `root`. `signatures` holds four numbers for each path, as `pack` makes
    them. Raises ValueError when their counts differ.
    """
    if len(signatures) != 4 * len(paths):
        raise ValueError(f"{len(paths)} paths but {len(signatures)} numbers")
    try:
        folder = os.open(root, _OPEN_FOLDER)
    except OSError:
        return paths[0] if paths else None
    try:
        return _sweep(folder, paths, signatures)
    finally:
        os.close(folder)


def all_moved(root: str, paths: Sequence[str], signatures: Signatures) -> set[int]:
    """The places of all paths that don't look as they did; arguments and errors as for `first_moved`."""
    if len(signatures) != 4 * len(paths):
        raise ValueError(f"{len(paths)} paths but {len(signatures)} numbers")
    try:
        folder = os.open(root, _OPEN_FOLDER)
    except OSError:
        return set(range(len(paths)))
    try:
        numbers = iter(signatures)
        seen = zip(numbers, numbers, numbers, numbers, strict=True)
        looks = enumerate(zip(paths, seen, strict=True))
        return {place for place, (path, was) in looks if signature(path, folder) != was}
    finally:
        os.close(folder)


def _sweep(folder: int, paths: Sequence[str], signatures: Signatures) -> str | None:
    lstat = os.lstat
    numbers = iter(signatures)
    for path, modified, changed, size, inode in zip(paths, numbers, numbers, numbers, numbers, strict=True):
        try:
            stat = lstat(path, dir_fd=folder)
        except OSError:
            if modified or changed or size or inode:
                return path
            continue
        if (
            stat.st_mtime_ns != modified
            or stat.st_ctime_ns != changed
            or stat.st_size != size
            or (stat.st_ino != inode and stat.st_ino & _INODE_BITS != inode)
        ):
            return path
    return None
