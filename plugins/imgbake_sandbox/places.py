"""Folders that sandboxes change things in, and folders that are kept between builds.

    work/<name>, work/<name>.lock      of one sandbox; locked (flock) while it runs, removed with it
    caches/<hex>, caches/<hex>.lock    a component's cache, by its path in the image; locked by who uses it,
                                       the lock's modification time says when that was

What a process leaves that was killed has no lock, and is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imgbake.api import CacheFolder
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.locks import locked

_LOCK = ".lock"
_LOOK_AGAIN = 0.05  # seconds
_FOR_EVERYBODY = 0o1777
_OF_A_ROOT = 0o755


class Place(NamedTuple):
    """Empty folders for one sandbox, on the file system of the extracted layers."""

    folder: Path

    @property
    def upper(self) -> Path:
        """What changes."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        """What the kernel needs to change it."""
        return self.folder / "work"


@contextlib.contextmanager
def place(shelf: Path, chores: Chores) -> Iterator[Place]:
    """A new place, removed with all that is in it."""
    with claimed(shelf) as folder:
        _sweep(folder.parent, chores)
        made = Place(folder)
        try:
            made.upper.mkdir()
            made.upper.chmod(_OF_A_ROOT)
            made.work.mkdir()
            yield made
        finally:
            Chores(chores.identity).remove(folder)  # goes on when the step has to end


@contextlib.contextmanager
def claimed(shelf: Path) -> Iterator[Path]:
    """An empty folder that nobody sweeps before the block ends; to be removed in it."""
    folder = shelf / "work"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, lock = _claim(folder)
    try:
        path.mkdir(mode=0o700)
        yield path
    finally:
        if not path.exists():  # else the next one sweeps it
            path.with_suffix(_LOCK).unlink()
        os.close(lock)


@contextlib.contextmanager
def cache(shelf: Path, wanted: CacheFolder, check: Callable[[], None]) -> Iterator[Path]:
    """The folder of a cache, as long as the block runs. `check` is called while others hold it.

    Every user of the image may add to it, as to /tmp: components of several users may share it.
    """
    folder = shelf / "caches" / hashlib.sha256(wanted.path.encode()).hexdigest()[:32]
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    how = fcntl.LOCK_SH if wanted.shared else fcntl.LOCK_EX
    while (lock := locked(folder.with_suffix(_LOCK), how)) is None:
        check()
        time.sleep(_LOOK_AGAIN)
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(_FOR_EVERYBODY)
        os.utime(lock)
        yield folder
    finally:
        os.close(lock)


def caches(shelf: Path) -> list[tuple[Path, float]]:
    """Every cache, and when it was used, in seconds since 1970."""
    found = []
    for lock in (shelf / "caches").glob(f"*{_LOCK}"):
        with contextlib.suppress(FileNotFoundError):
            found.append((lock.with_suffix(""), lock.stat().st_mtime))
    return found


def remove_cache(folder: Path, chores: Chores) -> bool:
    """Removes a cache unless somebody uses it. Is it gone?"""
    lock = locked(folder.with_suffix(_LOCK), fcntl.LOCK_EX)
    if lock is None:
        return False
    try:
        chores.remove(folder)
        folder.with_suffix(_LOCK).unlink()
    finally:
        os.close(lock)
    return True


def _claim(folder: Path) -> tuple[Path, int]:
    """A name that nobody has, and its lock."""
    while True:
        path = folder / secrets.token_hex(8)
        lock = locked(path.with_suffix(_LOCK), fcntl.LOCK_EX)
        if lock is not None:  # else one who sweeps had it first
            return path, lock


def _sweep(folder: Path, chores: Chores) -> None:
    """Removes the places of processes that are no more."""
    for path in list(folder.glob(f"*{_LOCK}")):
        lock = locked(path, fcntl.LOCK_EX)
        if lock is not None:
            try:
                chores.remove(path.with_suffix(""))
                path.unlink(missing_ok=True)
            finally:
                os.close(lock)
