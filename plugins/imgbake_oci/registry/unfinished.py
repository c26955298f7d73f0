"""Uploads that were begun, so that one which a kill broke off can be gone on with.

A file for each upload that is under way, which holds the place that the registry gave for it. Whoever
uploads holds the file's lock, which ends with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from imgbake_oci.reference import Reference

_KEPT = 7 * 86400  # seconds; registries forget an upload sooner


class Place:
    """Where an upload goes on. One without a file forgets."""

    def __init__(self, file: int = -1) -> None:
        self._file = file

    @property
    def is_kept(self) -> bool:
        """Would it be there after a kill?"""
        return self._file >= 0

    def read(self) -> str:
        """The place, empty when there is none."""
        if not self.is_kept:
            return ""
        return os.pread(self._file, 1 << 16, 0).decode("utf-8", "replace")

    def write(self, location: str) -> None:
        """Notes the place, or with an empty one that there is none."""
        if self.is_kept:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, location.encode(), 0)


@contextlib.contextmanager
def place(folder: Path | None, reference: Reference, digest: str) -> Iterator[Place]:
    """The place of a blob on its way into a repository, while the block runs. It is forgotten at its end,
    unless it ends by an error. Of several who bring the same at once, one keeps it."""
    path = _path(folder, reference, digest)
    file = _locked(path) if path is not None else -1
    try:
        yield Place(file)
        if path is not None and file >= 0:
            path.unlink(missing_ok=True)
    finally:
        if file >= 0:
            os.close(file)


def _path(folder: Path | None, reference: Reference, digest: str) -> Path | None:
    if folder is None:
        return None
    name = hashlib.sha256(f"{reference.registry}/{reference.repository}@{digest}".encode()).hexdigest()
    with contextlib.suppress(OSError):  # a memory, not a result
        folder.mkdir(parents=True, exist_ok=True)
        old = time.time() - _KEPT
        for each in folder.iterdir():
            if each.stat().st_mtime < old:
                each.unlink(missing_ok=True)
    return folder / name


def _locked(path: Path) -> int:
    """The file, which is ours alone; -1 where it can't be."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return -1
    return file
