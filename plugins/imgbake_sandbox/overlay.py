"""How overlayfs keeps in a folder what is gone from the folders below it.

    a name that is gone     a character device 0/0 in its place (a whiteout)
    a folder that is new    the attribute user.overlay.opaque = "y": nothing shines through from below

Sandboxes mount with `userxattr` whoever runs them, and since Linux 5.8 everybody may make that device, so
that layers lie on the disk in one form for all. (Linux, Documentation/filesystems/overlayfs.rst.)

`userxattr` also rules out redirects and metacopy: a renamed folder is a copy and a whiteout, and every
file of the upper folder holds its own content. A folder that says otherwise is of another mount.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

from imgbake.api import BakeError

_OPAQUE = "user.overlay.opaque"
_NOT_OURS = ("user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.opaque")


def is_whiteout(found: os.stat_result) -> bool:
    """Does it stand for something that is gone?"""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def put_whiteout(name: str, folder: int) -> None:
    """Makes the whiteout of a name in an open folder.

    Raises FileExistsError, BakeError where there can be none, and OSError.
    """
    try:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
    except PermissionError:
        raise _no_layers("whiteouts") from None


def is_opaque(folder: int, names: Collection[str]) -> bool:
    """Does it hide the folders below it? `names` are those of its extended attributes."""
    return _OPAQUE in names and os.getxattr(folder, _OPAQUE) == b"y"


def make_opaque(folder: int) -> None:
    """Makes an open folder hide those below it. Raises BakeError where it can't, and OSError."""
    try:
        os.setxattr(folder, _OPAQUE, b"y")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        raise _no_layers("opaque folders") from None


def foreign_mark(names: Collection[str]) -> str:
    """The attribute among these names that no mount of a sandbox makes, or nothing."""
    return next((mark for mark in _NOT_OURS if mark in names), "")


def _no_layers(what: str) -> BakeError:
    message = f"the file system of imgbake's cache can't hold the layers of images: no {what}"
    hint = "set IMGBAKE_CACHE_DIR to a folder on ext4, xfs or btrfs; in a container, to a volume"
    return BakeError(message, hint=hint)
