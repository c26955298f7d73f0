"""Opens the files of a tree one after the other, with few lookups by the kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class Folder:
    """A folder in which files are opened. To be used with `with`.

    The folder of the last file stays open, since the next file is mostly in the same one.
    """

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, _FOLDER)
        self._last = os.dup(self._root)
        self._last_path = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._last)
        os.close(self._root)

    def open(self, path: str) -> int:
        """A descriptor of the file at this relative path, to be read. Raises OSError, also for a symlink."""
        folder, _, name = path.rpartition("/")
        if folder != self._last_path:
            opened = os.open(folder or ".", _FOLDER, dir_fd=self._root)
            os.close(self._last)
            self._last, self._last_path = opened, folder
        return os.open(name, _FILE, dir_fd=self._last)
