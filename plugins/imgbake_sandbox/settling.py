"""An upper folder becomes what extracting its own layer would give, so that it needn't be extracted.

What isn't in the layer is removed: copies that turned out equal, and what was left out. Opaque folders get
the whiteouts that the layer has instead. Every time is that of the layer, so that programs which note the
times of files (as Python does in its caches) note those that the finished image has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from imgbake_sandbox import overlay, removal, xattrs
from imgbake_sandbox.capture import Change, Changes
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.tars import ROOTS
from imgbake_sandbox.xattrs import Owner

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def settle_file(file: int, found: os.stat_result, owner: Owner, epoch: int) -> None:
    """Settles an open file or folder, whose owner in the layer is this one. Raises BakeError and OSError."""
    xattrs.remove_overlays(file)
    if owner != (found.st_uid, found.st_gid):
        xattrs.mark_owner(file, owner)
    os.utime(file, (epoch, epoch))


def settle(changes: Changes, upper: int, epoch: int) -> Extracted:
    """Settles an open upper folder whose layer was written with this time, in seconds since 1970.

    `settle_file` has been called for each file, while it was open for the layer. Raises BakeError and
    OSError.
    """
    inside: dict[str, dict[str, Change]] = {"": {}}
    for member in changes.members:
        parent, _, name = member.path.rpartition("/")
        inside[parent][name] = member
        if member.kind == "dir":
            inside[member.path] = {}
    for path in sorted(inside, reverse=True):  # what is in a folder before the folder, for its time
        folder = os.open(path or ".", _OPEN_FOLDER, dir_fd=upper)
        try:
            _settle_names(folder, inside[path], epoch)
        finally:
            os.close(folder)
    mode, *owner = ROOTS
    xattrs.remove_overlays(upper)
    os.fchown(upper, *owner)
    os.fchmod(upper, mode)
    os.utime(upper, (0, 0))
    return Extracted(len(changes.members), sum(member.size for member in changes.members), hides_all=False)


def _settle_names(folder: int, wanted: Mapping[str, Change], epoch: int) -> None:
    there = set(os.listdir(folder))
    for name in there - wanted.keys():
        removal.remove(name, folder)
    for name, member in wanted.items():
        if member.kind == "gone":
            _settle_whiteout(name, folder)
        elif member.kind == "dir":
            _settle_folder(name, folder, member.owner, epoch)
        elif member.kind not in ("file", "hardlink"):
            os.utime(name, (epoch, epoch), dir_fd=folder, follow_symlinks=False)


def _settle_whiteout(name: str, folder: int) -> None:
    try:
        overlay.put_whiteout(name, folder)
    except FileExistsError:
        if not overlay.is_whiteout(os.lstat(name, dir_fd=folder)):  # but what can't be in a layer
            removal.remove(name, folder)
            overlay.put_whiteout(name, folder)


def _settle_folder(name: str, folder: int, owner: Owner, epoch: int) -> None:
    opened = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        settle_file(opened, os.fstat(opened), owner, epoch)
    finally:
        os.close(opened)
