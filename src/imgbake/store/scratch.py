"""A folder of one process for files that are not finished, gone when the process is.

    tmp/<pid>-<start in ns>    locked (flock) by the process that made it, for as long as it lives

The lock, not the number, says whether a process lives: two containers that share a cache know each
other's processes by the wrong numbers, or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path


class Scratch:
    """The folder of this process. Making it removes what dead processes left."""

    def __init__(self, parent: Path) -> None:
        """`parent` holds the folders of all processes. Raises OSError."""
        self._parent = parent
        for folder in _folders(parent):
            _remove_if_dead(folder)
        self.folder, self._lock = _make(parent)

    def others_since(self) -> float:
        """When the oldest other process that is alive started, in seconds; infinity if there is none."""
        started = float("inf")
        for folder in _folders(self._parent):
            if folder != self.folder and not _remove_if_dead(folder):
                started = min(started, _start(folder))
        return started

    def close(self) -> None:
        """Removes the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.abandon()

    def abandon(self) -> None:
        """Leaves the folder to the process that we were forked from."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        folder = parent / f"{os.getpid()}-{time.time_ns()}"
        try:
            folder.mkdir(parents=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, FileNotFoundError):
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # another process took it for a dead one's before we had the lock


def _folders(parent: Path) -> Iterator[Path]:
    try:
        yield from [path for path in parent.iterdir() if _start(path) > 0]
    except FileNotFoundError:
        return


def _start(folder: Path) -> float:
    _, _, start = folder.name.partition("-")
    return int(start) / 1e9 if start.isdigit() else 0.0


def _remove_if_dead(folder: Path) -> bool:
    """Removes the folder unless its process lives."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
