"""How overlayfs keeps in a folder what is gone from the folders below it.

    a name that is gone     a character device 0/0 in its place (a whiteout)
    a folder that is new    the attribute overlay.opaque = "y": nothing shines through from below

The attribute lies in the space `trusted.` where real root mounts, and in `user.` in the user namespace
of an ordinary user, where the mount has the option `userxattr`. Whiteouts are the same for both: since
Linux 5.8 everybody may make this one device. (Linux, Documentation/filesystems/overlayfs.rst.)

Mounts of the sandbox say `redirect_dir=off,metacopy=off,index=off`. So a renamed folder is a copy and
a whiteout, and every file of the upper folder holds its own content. A folder that says otherwise was
not made by such a mount.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from typing import Literal

Space = Literal["trusted", "user"]

_NOT_OURS = ("redirect", "metacopy")


def is_whiteout(found: os.stat_result) -> bool:
    """Does it stand for something that is gone?"""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def put_whiteout(name: str, folder: int) -> None:
    """Makes the whiteout of a name in an open folder. Raises OSError."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)


def is_opaque(folder: int, names: Collection[str], space: Space) -> bool:
    """Does it hide the folders below it? `names` are those of its extended attributes."""
    name = f"{space}.overlay.opaque"
    return name in names and os.getxattr(folder, name) == b"y"


def make_opaque(folder: int, space: Space) -> None:
    """Makes an open folder hide those below it. Raises OSError."""
    os.setxattr(folder, f"{space}.overlay.opaque", b"y")


def foreign_mark(names: Collection[str], space: Space) -> str:
    """The attribute among these names that no mount of ours makes, or nothing."""
    marks = (f"{space}.overlay.{mark}" for mark in _NOT_OURS)
    return next((mark for mark in marks if mark in names), "")
