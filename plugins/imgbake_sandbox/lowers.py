"""What lies below the upper folder: extracted layers, seen as overlayfs shows them put together."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imgbake_sandbox import overlay, xattrs

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Layers = tuple[int, ...]
"""Numbers of layers, the topmost first."""


class Found(NamedTuple):
    """What is seen at a path: what it is, and the layers that have part in it, more than one for a folder."""

    stat: os.stat_result
    layers: Layers


class Lowers:
    """Layers put together. To be closed. All raise OSError."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """`folders` hold extracted layers, the bottom one first."""
        self._roots: list[int] = []
        try:
            for folder in reversed(folders):
                self._roots.append(os.open(folder, _OPEN_FOLDER))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the layers."""
        for root in self._roots:
            os.close(root)

    @property
    def all(self) -> Layers:
        """Every layer: all have part in the root folder."""
        return tuple(range(len(self._roots)))

    def find(self, path: str, layers: Layers) -> Found | None:
        """What is seen at this path, None if nothing. `layers` are those of the folder that it is in."""
        top: os.stat_result | None = None
        having: list[int] = []
        for layer in layers:
            try:
                found = os.stat(path, dir_fd=self._roots[layer], follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(found.st_mode):
                if top is None and not overlay.is_whiteout(found):
                    return Found(found, (layer,))
                break
            top = top or found
            having.append(layer)
            if self._is_opaque(path, layer):
                break
        return Found(top, tuple(having)) if top else None

    def names(self, path: str, layers: Layers) -> set[str]:
        """The names that are seen in this folder, which these layers have part in."""
        seen: dict[str, bool] = {}
        for layer in layers:
            folder = os.open(path or ".", _OPEN_FOLDER, dir_fd=self._roots[layer])
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name not in seen:
                            seen[entry.name] = not _is_whiteout(entry)
            finally:
                os.close(folder)
        return {name for name, is_there in seen.items() if is_there}

    def root(self, layer: int) -> int:
        """The open root folder of one layer."""
        return self._roots[layer]

    def _is_opaque(self, path: str, layer: int) -> bool:
        folder = os.open(path, _OPEN_FOLDER, dir_fd=self._roots[layer])
        try:
            return overlay.is_opaque(folder, xattrs.names(folder))
        finally:
            os.close(folder)


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    known = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()
    return not known and overlay.is_whiteout(entry.stat(follow_symlinks=False))
