"""Streams in a folder: a file for each.

    NAME.json     the document
    .NAME.new     one that is being written; what a killed writer left is overwritten by the next
    .lock         locked (flock) by whoever writes

Who means to write has the folder itself locked from reading on, where that can be done: so others wait,
instead of writing what they read too early. A document is replaced by a rename, after its content is on the
disk. So a reader needs no lock, and a machine that dies leaves the one before or the one after.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from imgbake.contract import Kept
from imgbake.digest import of_bytes
from imgbake.errors import BakeError

_SUFFIX = ".json"


class Folder:
    """A shelf in a folder of this machine, or of one that is mounted here."""

    kind: ClassVar[str] = "folder"
    version: ClassVar[int] = 1

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> Sequence[str]:
        with suppress(FileNotFoundError):
            found = [each for each in self.path.iterdir() if each.suffix == _SUFFIX]
            return sorted(each.stem for each in found if not each.name.startswith("."))
        return []

    def load(self, name: str) -> Kept | None:
        try:
            data = self._file(name).read_bytes()
        except FileNotFoundError:
            return None
        return Kept(data, of_bytes(data))

    def save(self, name: str, data: bytes, expected: str) -> bool:
        with self._alone():
            if self._version(name) != expected:
                return False
            self._replace(self._file(name), data)
            return True

    def remove(self, name: str, expected: str) -> bool:
        with self._alone():
            if self._version(name) != expected:
                return False
            self._file(name).unlink(missing_ok=True)
            self._settle()
            return True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Lasts while others wait; or not, for a folder that can't be locked, or isn't there yet."""
        folder = None
        try:
            with suppress(OSError):
                folder = os.open(self.path, os.O_RDONLY)
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            if folder is not None:
                os.close(folder)

    def proof(self, name: str) -> str:
        return str(self._file(name))

    def _file(self, name: str) -> Path:
        return self.path / (name + _SUFFIX)

    def _version(self, name: str) -> str:
        kept = self.load(name)
        return kept.version if kept else ""

    def _replace(self, file: Path, data: bytes) -> None:
        beside = file.with_name(f".{file.stem}.new")
        with beside.open("wb") as new:
            _keep_permissions(file, new.fileno())
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
        beside.replace(file)
        self._settle()

    def _settle(self) -> None:
        """Brings names that have moved to the disk."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other writers out. Raises BakeError when we may not write."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            hint = "whoever may write there may change streams; `[project] streams` says where they are"
            raise BakeError(f"can't write to {self.path}: {error.strerror}", hint=hint) from None


def _keep_permissions(file: Path, new: int) -> None:
    """Who might read the document before may read it still."""
    with suppress(FileNotFoundError):
        before = file.stat()
        with suppress(PermissionError):
            os.fchown(new, -1, before.st_gid)
        os.fchmod(new, before.st_mode & 0o777)
