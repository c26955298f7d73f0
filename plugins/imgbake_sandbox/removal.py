"""Removing folders of any depth, with any permissions, without following a link.

What a command leaves may be nested deeper than a process may open folders or call functions. So folders
are moved up to the top before they are emptied, and only two are ever open. Files of other owners can
be removed by root, or inside the user namespace that they belong to.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OURS = 0o700


def remove(name: str, folder: int) -> None:
    """Removes a name from an open folder, with all that is below it; nothing if it isn't there.

    Raises OSError.
    """
    try:
        if not stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.unlink(name, dir_fd=folder)
            return
        top = _opened(name, folder)
    except FileNotFoundError:
        return
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=folder)


def remove_path(path: Path) -> None:
    """The same for a path, whose parent is taken as it is. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(path.name, folder)
    finally:
        os.close(folder)


def _empty(top: int) -> None:
    prefix = secrets.token_hex(8)
    moved = 0
    while inner_names := _unlink_files(top):
        for name in inner_names:
            inner = _opened(name, top)
            try:
                for deeper in _unlink_files(inner):
                    _move(deeper, inner, f"{prefix}-{moved}", top)
                    moved += 1
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _unlink_files(folder: int) -> list[str]:
    """Removes all that is no folder; returns the names of the folders."""
    folders = []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if is_folder:
            folders.append(name)
        else:
            os.unlink(name, dir_fd=folder)
    return folders


def _opened(name: str, folder: int) -> int:
    """Opens a folder and makes sure that what is in it can be removed."""
    try:
        opened = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, _OURS, dir_fd=folder)
        opened = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    if os.fstat(opened).st_mode & _OURS != _OURS:
        with contextlib.suppress(PermissionError):  # removing says better what can't be done
            os.fchmod(opened, _OURS)
    return opened


def _move(name: str, source: int, new_name: str, target: int) -> None:
    try:
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    except PermissionError:  # moving a folder changes its "..", which takes the right to write to it
        os.chmod(name, _OURS, dir_fd=source)
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
