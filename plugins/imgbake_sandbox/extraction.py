"""A layer becomes a folder that overlayfs can put on others (image-spec, layer.md, "Applying Changesets").

Whiteouts become overlayfs's own, see `overlay`. Owners, permissions, times and the extended attributes
that belong to an image are kept; an owner for whom the user namespace has no number is noted, see
`xattrs`. Devices are left out, for root as for everybody: the sandbox has a /dev of its own, and a layer
comes out the same whoever made it. Folders that the layer doesn't speak of are root's with 0755.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import IO

import msgspec

from imgbake_sandbox import overlay, xattrs
from imgbake_sandbox.confined import Confined, Place, clean
from imgbake_sandbox.tars import ROOTS, Damaged, Forward, Head, detect, members, reader

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_META = ".wh..wh."  # other notes of aufs, which mean nothing to anybody else
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = 1 << 20
_MAGIC = 8
_MEMBERS_PER_CHECK = 256
_PERMISSIONS = 0o7777
_LARGEST_ID = 0xFFFFFFFE  # the one above means "no change" to chown(2)
_IMPLIED = Head("", "dir", *ROOTS, size=0, link="", start=0)
_NOT_POSSIBLE = {errno.ENAMETOOLONG, errno.ELOOP}


class Extracted(msgspec.Struct, frozen=True):
    """How much was extracted: the number of members, and the bytes of their content.

    overlayfs doesn't heed a root folder that hides all layers below it, so whoever mounts must.
    """

    members: int
    size: int
    hides_all: bool


def extract(layer: IO[bytes], folder: int, check: Callable[[], None] = lambda: None) -> Extracted:
    """Extracts an open layer, compressed or not, into an open and empty folder.

    `check` is called now and then, and what it raises ends the work. Raises Damaged for a layer that is
    broken or means harm, and OSError.
    """
    start = layer.read(_MAGIC)
    layer.seek(0)
    extraction = _Extraction(folder)
    try:
        with reader(layer, detect(start)) as content:
            stream = Forward(content)
            for number, head in enumerate(members(stream)):
                if not number % _MEMBERS_PER_CHECK:
                    check()
                extraction.add(head, stream, check)
        return extraction.finish()
    finally:
        extraction.close()


class _Extraction:
    def __init__(self, folder: int) -> None:
        self._confined = Confined(folder)
        self._folders = {"": _IMPLIED}  # by real path
        self._gone: list[str] = []
        self._opaque: list[str] = []
        self._members = 0
        self._size = 0

    def close(self) -> None:
        self._confined.close()

    def add(self, head: Head, stream: Forward, check: Callable[[], None]) -> None:
        """Makes one member. Whiteouts wait, for they speak of other layers only."""
        path = clean(head.path)
        name = path.rpartition("/")[2]
        self._members += 1
        if max(head.uid, head.gid) > _LARGEST_ID:
            raise Damaged(f"'{path}' has an owner that nobody can be")
        try:
            if name.startswith(_WHITEOUT):
                self._note_whiteout(path, name)
            elif head.kind == "dir":
                self._folders[self._confined.make_folder(path) if path else ""] = head
            elif path:
                self._make(path, head, stream, check)
            else:
                raise Damaged("its root is no folder")
        except OSError as error:
            if error.errno in _NOT_POSSIBLE:
                raise Damaged(f"'{path[:200]}' can't be: {error.strerror}") from None
            raise

    def finish(self) -> Extracted:
        """Puts whiteouts, and gives folders what belongs to them."""
        for path in self._gone:
            self._put_whiteout(path)
        for path in self._opaque:  # the marker's own, so that its folder is the parent
            overlay.make_opaque(self._confined.place(path).folder)
        for path in {*self._folders, *self._confined.implied}:
            folder = self._confined.existing(path)
            if folder is not None:
                try:
                    _finish(folder, self._folders.get(path, _IMPLIED))
                finally:
                    os.close(folder)
        return Extracted(self._members, self._size, hides_all=_OPAQUE in self._opaque)

    def _note_whiteout(self, path: str, name: str) -> None:
        if name == _OPAQUE:
            self._opaque.append(path)
        elif not name.startswith(_META):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise Damaged(f"'{path}' hides nothing that there could be")
            self._gone.append(path.removesuffix(name) + hidden)

    def _put_whiteout(self, path: str) -> None:
        """Hides what other layers have there, also if this one has something there itself."""
        place = self._confined.place(path)
        try:
            overlay.put_whiteout(place.name, place.folder)
        except FileExistsError:
            folder = self._confined.existing(place.real)
            if folder is not None:
                overlay.make_opaque(folder)
                os.close(folder)

    def _make(self, path: str, head: Head, stream: Forward, check: Callable[[], None]) -> None:
        if head.kind == "file":
            self._confined.make(path, lambda place: _write(place, head, stream, check))
            self._size += head.size
        elif head.kind == "symlink":
            self._confined.make(path, lambda place: self._symlink(place, head))
        elif head.kind == "hardlink":
            self._confined.hard_link(path, clean(head.link))
        elif head.kind == "fifo":
            self._confined.make(path, lambda place: _pipe(place, head))
        elif head.kind != "device":
            shown = "a sparse file of GNU tar" if head.kind == "sparse" else "of no known kind"
            raise Damaged(f"'{path}' is {shown}")

    def _symlink(self, place: Place, head: Head) -> None:
        if not head.link or "\0" in head.link:
            raise Damaged(f"'{place.real}' is a symlink to nothing")
        os.symlink(head.link, place.name, dir_fd=place.folder)
        self._confined.made_link(place, head.link)
        _finish_named(place, head)


def _write(place: Place, head: Head, stream: Forward, check: Callable[[], None]) -> None:
    file = os.open(place.name, _NEW_FILE, 0o600, dir_fd=place.folder)
    try:
        left = head.size
        while left:
            data = stream.take(min(left, _STEP))
            left -= len(data)
            while data:
                data = data[os.write(file, data) :]
            if left:
                check()
        _finish(file, head)
    finally:
        os.close(file)


def _pipe(place: Place, head: Head) -> None:
    os.mkfifo(place.name, 0o600, dir_fd=place.folder)
    _finish_named(place, head)
    os.chmod(place.name, head.mode & _PERMISSIONS, dir_fd=place.folder)


def _finish(file: int, head: Head) -> None:
    """Gives an open file or folder what belongs to it. Whoever changes an owner clears the rest."""
    try:
        os.fchown(file, head.uid, head.gid)
    except OSError as error:
        if error.errno != errno.EINVAL:  # which says that the namespace has no such number
            raise
        xattrs.mark_owner(file, (head.uid, head.gid))
    os.fchmod(file, head.mode & _PERMISSIONS)
    if head.xattrs:
        xattrs.write(file, dict(head.xattrs))
    os.utime(file, ns=(head.mtime_ns, head.mtime_ns))


def _finish_named(place: Place, head: Head) -> None:
    """The same for what can't be opened, and has no attributes. Its owner is root if need be."""
    try:
        os.chown(place.name, head.uid, head.gid, dir_fd=place.folder, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    times = (head.mtime_ns, head.mtime_ns)
    os.utime(place.name, ns=times, dir_fd=place.folder, follow_symlinks=False)
