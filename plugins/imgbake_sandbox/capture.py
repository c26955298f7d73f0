"""What a command changed, from the upper folder of the overlay that it ran on.

The changes are the difference between what is seen now and what was seen below, whatever was done in
between: a file that was touched, rewritten with the same content or removed and made again is no
change, and neither is another modification time. So a folder that was removed and made again is not
opaque in the layer; what it lost has whiteouts of its own, which image-spec (layer.md, "Opaque
Whiteout") recommends anyway.

A folder is a member if it is new or has other attributes, and if anything below it is a member: were
it left out, those who unpack the layer would have to guess what it is. The root folder is none.

Sockets mean nothing without their process. Devices can't be made by everybody, so that a layer with
one would depend on who made it; both are left out, and devices are reported.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import msgspec

from imgbake.api import BakeError, StepError
from imgbake_sandbox import overlay, xattrs
from imgbake_sandbox.lowers import Found, Layers, Lowers
from imgbake_sandbox.xattrs import Owner

NEVER_CAPTURED = ("dev", "proc", "run", "sys", "tmp")
"""The folders that belong to a running system and not to its image."""

_PERMISSIONS = 0o7777
_OF_A_SYMLINK = 0o777
_STEP = 1 << 20
_WHITEOUT = ".wh."
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY

Kind = Literal["file", "dir", "symlink", "hardlink", "fifo", "gone"]


class Change(msgspec.Struct, frozen=True, gc=False):
    """One member of the layer. Paths are relative to the image's root, without a final slash."""

    path: str
    kind: Kind
    mode: int = 0
    owner: Owner = (0, 0)
    size: int = 0
    link: str = ""  # what a symlink holds; the path of a hard link's first name
    xattrs: dict[str, bytes] = {}


class Changes(msgspec.Struct, frozen=True):
    """Everything that changed, sorted by path, and the paths of devices that were left out."""

    members: tuple[Change, ...]
    devices: tuple[str, ...] = ()


def changes(upper: int, lowers: Lowers, left_out: Collection[str] = NEVER_CAPTURED) -> Changes:
    """The changes in an open upper folder, on which nothing works any more.

    Nothing below the paths of `left_out` counts, nor what is at them unless it is a folder, which an image
    may well have to mount something on. Raises StepError for what can't be in a layer, BakeError for an upper
    folder that our mounts don't make, and OSError.
    """
    return _Capture(upper, lowers, frozenset(left_out)).changes()


class _Folder(msgspec.Struct, frozen=True, gc=False):
    """A folder of the upper that is yet to be looked through."""

    path: str
    below: Found | None
    replaced: bool  # does it hide what is below?

    @property
    def layers(self) -> Layers:
        """Those that have part in the folder below."""
        return self.below.layers if self.below and stat.S_ISDIR(self.below.stat.st_mode) else ()


class _Capture:
    def __init__(self, upper: int, lowers: Lowers, left_out: frozenset[str]) -> None:
        self._upper = upper
        self._lowers = lowers
        self._left_out = left_out
        self._changed: dict[str, Change] = {}
        self._folders: dict[str, Change] = {}  # every folder of the upper, changed or not
        self._linked: dict[int, list[tuple[Change, Found | None]]] = {}  # by inode
        self._devices: list[str] = []

    def changes(self) -> Changes:
        root = Found(os.fstat(self._upper), self._lowers.all)
        waiting = [_Folder("", root, replaced=False)]
        while waiting:
            waiting += self._look_through(waiting.pop())
        for names in self._linked.values():
            self._add_linked(sorted(names, key=lambda each: each[0].path))
        for path in list(self._changed):
            self._add_parents(path)
        members = tuple(self._changed[path] for path in sorted(self._changed))
        return Changes(members, tuple(sorted(self._devices)))

    def _look_through(self, folder: _Folder) -> Iterator[_Folder]:
        """Takes note of a folder and what is in it, but for the folders that it returns."""
        opened = os.open(folder.path or ".", _OPEN_FOLDER, dir_fd=self._upper)
        try:
            names = xattrs.names(opened)
            if mark := overlay.foreign_mark(names):
                raise _foreign(folder.path, mark)
            replaced = folder.replaced or overlay.is_opaque(opened, names)
            if folder.path:
                self._add_folder(folder, _described(opened, folder.path, os.fstat(opened), names))
            with os.scandir(opened) as entries:
                found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
            yield from self._look_at_names(folder, opened, found, replaced)
        finally:
            os.close(opened)
        if replaced:
            for name in self._lowers.names(folder.path, folder.layers) - found.keys():
                self._add_gone(_joined(folder.path, name))

    def _look_at_names(
        self, folder: _Folder, opened: int, found: Mapping[str, os.stat_result], replaced: bool
    ) -> Iterator[_Folder]:
        for name, status in found.items():
            path = _joined(folder.path, name)
            below = self._lowers.find(path, folder.layers)
            if path in self._left_out:
                if stat.S_ISDIR(status.st_mode):
                    self._add_left_out(_Folder(path, below, replaced))
                continue
            if overlay.is_whiteout(status):
                if below:
                    self._add_gone(path)
                continue
            if name.startswith(_WHITEOUT):
                raise _unspeakable(path)
            if stat.S_ISDIR(status.st_mode):
                yield _Folder(path, below, replaced)
            else:
                self._add(path, name, opened, status, below)

    def _add_left_out(self, folder: _Folder) -> None:
        opened = os.open(folder.path, _OPEN_FOLDER, dir_fd=self._upper)
        try:
            described = _described(opened, folder.path, os.fstat(opened), xattrs.names(opened))
        finally:
            os.close(opened)
        self._add_folder(folder, described)

    def _add_folder(self, folder: _Folder, change: Change) -> None:
        self._folders[change.path] = change
        if not self._is_same(change, folder.below):
            self._changed[change.path] = change

    def _add(self, path: str, name: str, folder: int, status: os.stat_result, below: Found | None) -> None:
        if not (
            stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) or stat.S_ISFIFO(status.st_mode)
        ):
            if not stat.S_ISSOCK(status.st_mode):
                self._devices.append(path)
            if below:
                self._add_gone(path)
            return
        change = self._with_hidden_owner(_looked_at(folder, name, path, status), below)
        if status.st_nlink > 1:
            self._linked.setdefault(status.st_ino, []).append((change, below))
        elif not self._is_same(change, below):
            self._changed[path] = change

    def _with_hidden_owner(self, change: Change, below: Found | None) -> Change:
        """A file that was written anew keeps an owner that whoever wrote it had no way to see or to keep."""
        if (
            change.kind != "file"
            or change.owner != (0, 0)
            or not (below and stat.S_ISREG(below.stat.st_mode))
        ):
            return change
        before = _looked_at(self._lowers.root(below.layers[0]), change.path, change.path, below.stat)
        if before.owner == (below.stat.st_uid, below.stat.st_gid):
            return change
        return msgspec.structs.replace(change, owner=before.owner)

    def _add_gone(self, path: str) -> None:
        if path not in self._left_out:
            self._changed[path] = Change(path, "gone")

    def _add_linked(self, names: list[tuple[Change, Found | None]]) -> None:
        """One file with several names, which is unchanged only if it had all of them."""
        inodes = {below and (below.stat.st_dev, below.stat.st_ino) for _, below in names}
        if len(inodes) == 1 and all(self._is_same(change, below) for change, below in names):
            return
        first = names[0][0]
        self._changed[first.path] = first
        for change, _ in names[1:]:
            link = msgspec.structs.replace(change, kind="hardlink", size=0, link=first.path, xattrs={})
            self._changed[change.path] = link

    def _is_same(self, change: Change, below: Found | None) -> bool:
        """Is it what was there before? Modification times don't count."""
        if below is None:
            return False
        if change.kind == "file" and change.size != below.stat.st_size:
            return False
        layer = self._lowers.root(below.layers[0])
        before = _looked_at(layer, change.path, change.path, below.stat)
        return change == before and (change.kind != "file" or _is_same_file(self._upper, layer, change.path))

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent and parent not in self._changed:
            self._changed[parent] = self._folders[parent]
            parent = parent.rpartition("/")[0]


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _looked_at(folder: int, name: str, path: str, status: os.stat_result) -> Change:
    """What is at this path, without its content: `name` leads there from an open folder."""
    if stat.S_ISLNK(status.st_mode):
        link = os.readlink(name, dir_fd=folder)
        return Change(path, "symlink", _OF_A_SYMLINK, (status.st_uid, status.st_gid), link=link)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return Change(path, "fifo", status.st_mode & _PERMISSIONS, (status.st_uid, status.st_gid))
    opened = os.open(name, _OPEN_FILE, dir_fd=folder)
    try:
        return _described(opened, path, status, xattrs.names(opened))
    finally:
        os.close(opened)


def _described(file: int, path: str, status: os.stat_result, names: Collection[str]) -> Change:
    """An open file or folder, without its content."""
    is_folder = stat.S_ISDIR(status.st_mode)
    return Change(
        path,
        "dir" if is_folder else "file",
        status.st_mode & _PERMISSIONS,
        xattrs.owner(file, status, names),
        0 if is_folder else status.st_size,
        xattrs=xattrs.read(file, names) if names else {},
    )


def _is_same_file(upper: int, lower: int, path: str) -> bool:
    above = os.open(path, _OPEN_FILE, dir_fd=upper)
    try:
        below = os.open(path, _OPEN_FILE, dir_fd=lower)
        try:
            return _is_same_content(above, below)
        finally:
            os.close(below)
    finally:
        os.close(above)


def _is_same_content(one: int, other: int) -> bool:
    while data := os.read(one, _STEP):
        if os.read(other, len(data)) != data:
            return False
    return not os.read(other, 1)


def _foreign(path: str, mark: str) -> BakeError:
    message = f"the overlay's folder /{path} has the mark {mark}, which layers can't express"
    return BakeError(message, hint="mount with userxattr")


def _unspeakable(path: str) -> StepError:
    message = f"/{path} can't be in an image: names that start with {_WHITEOUT} mean deletion"
    return StepError(message, hint="remove it in the same component")
