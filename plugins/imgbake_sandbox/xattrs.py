"""Extended attributes: those that belong to an image, and the mark of an owner who can't be had here.

An image keeps the capabilities of programs and the attributes of users. What else there is belongs to
a machine: labels of SELinux, access control lists, the marks of overlayfs.

Where the user namespace has no number for an owner, the file is root's there, and an attribute says
whose it is. overlayfs copies it with the file, so that the layer made later has the true owner; so has a
file that was written anew in the place of another, as `sed -i` and useradd do it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping

from imgbake.api import BakeError
from imgbake_sandbox.tars import Damaged

_CAPABILITY = "security.capability"
_USERS = "user."
_OVERLAYS = "user.overlay."
_NOT_USERS = (_OVERLAYS, "user.imgbake.")
_OWNER = "user.imgbake.owner"

Owner = tuple[int, int]
"""User id, group id."""


def names(file: int) -> list[str]:
    """The names of all attributes of an open file or folder, none where there can be none."""
    try:
        return os.listxattr(file)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []


def is_kept(name: str) -> bool:
    """Does an attribute of this name belong to an image? (A PAX record can't hold a "=" in a name.)"""
    if name.startswith(_USERS):
        return not name.startswith(_NOT_USERS) and "=" not in name
    return name == _CAPABILITY


def read(file: int, among: Collection[str]) -> dict[str, bytes]:
    """The attributes of an open file that belong to an image, of those with these names."""
    return {name: os.getxattr(file, name) for name in sorted(among) if is_kept(name)}


def write(file: int, xattrs: Mapping[str, bytes]) -> None:
    """Gives an open file those of these attributes that belong to an image.

    Raises Damaged for a value that can't be, BakeError where the file system has none, and OSError.
    """
    for name, value in xattrs.items():
        if is_kept(name):
            try:
                os.setxattr(file, name, value)
            except OSError as error:
                raise _refused(name, error) from None


def remove_overlays(file: int) -> None:
    """Removes the marks of overlayfs from an open file or folder. Raises OSError."""
    for name in names(file):
        if name.startswith(_OVERLAYS):
            os.removexattr(file, name)


def owner(file: int, found: os.stat_result, among: Collection[str]) -> Owner:
    """The owner of an open file, also one who can't be had here."""
    if _OWNER in among and (found.st_uid, found.st_gid) == (0, 0):
        user, _, group = os.getxattr(file, _OWNER).partition(b":")
        if user.isdigit() and group.isdigit():
            return int(user), int(group)
    return found.st_uid, found.st_gid


def mark_owner(file: int, wanted: Owner) -> None:
    """Notes on an open file whose it would be. Raises BakeError where the file system has no attributes."""
    try:
        os.setxattr(file, _OWNER, b"%d:%d" % wanted)
    except OSError as error:
        raise _refused(_OWNER, error) from None


def _refused(name: str, error: OSError) -> Exception:
    if error.errno == errno.EINVAL:
        return Damaged(f"it has an attribute {name} that can't be")
    if error.errno == errno.ENOTSUP:
        message = f"the file system of imgbake's cache can't keep extended attributes, here {name}"
        return BakeError(message, hint="set IMGBAKE_CACHE_DIR to a folder on ext4, xfs or btrfs")
    return error
