"""A folder that is filled by names that a stranger chose, and never left.

Every name is looked up in an open folder, and no link of the file system is ever followed. Symlinks
that were made in this folder count as the kernel would have it with the folder as its root, but by what
is known of them: nothing outside can be meant, whatever they hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from imgbake_sandbox import removal
from imgbake_sandbox.tars import Added, Damaged, Folders

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOWHERE = "\0"  # no path is this one


class Place(NamedTuple):
    """Where something is to be: an open folder, a name in it, and the path with symlinks followed."""

    folder: int  # open until the next place is asked for
    name: str
    real: str


class Confined:
    """An empty folder to be filled. To be closed.

    Paths must be clean and not empty, see `clean`. All raise Damaged where a folder should be and
    something else is, and OSError.
    """

    def __init__(self, root: int) -> None:
        """`root` is open, and stays the caller's."""
        self.implied: set[str] = set()  # folders that nobody asked for, but for what is in them
        self._root = root
        self._links = Folders()
        self._near = _NOWHERE  # the folder that was asked for last, as it was asked for
        self._near_real = ""
        self._near_folder = os.dup(root)

    def close(self) -> None:
        """Closes what this opened."""
        os.close(self._near_folder)

    def place(self, path: str) -> Place:
        """The place of this path, with the folders above it made where they are missing."""
        parent, _, name = path.rpartition("/")
        if parent != self._near:
            real = self._links.resolve(parent)
            folder = self._open(real)
            os.close(self._near_folder)
            self._near, self._near_real, self._near_folder = parent, real, folder
        return Place(self._near_folder, name, f"{self._near_real}/{name}" if self._near_real else name)

    def existing(self, real: str) -> int | None:
        """Opens a folder by its real path, for the caller to close. None when it isn't there."""
        folder = os.dup(self._root)
        for name in filter(None, real.split("/")):
            try:
                inner = os.open(name, _OPEN_FOLDER, dir_fd=folder)
            except (FileNotFoundError, NotADirectoryError):
                return None
            finally:
                os.close(folder)
            folder = inner
        return folder

    def make(self, path: str, make: Callable[[Place], None]) -> None:
        """Has something made. What an earlier member of the layer put there goes first."""
        place = self.place(path)
        try:
            make(place)
        except FileExistsError:
            self._remove(place)
            make(place)

    def made_link(self, place: Place, target: str) -> None:
        """Takes note of a symlink that was made."""
        self._links.add(Added(links={place.real: target}))

    def make_folder(self, path: str) -> str:
        """Makes a folder unless it is there, and returns its real path."""
        place = self.place(path)
        try:
            os.mkdir(place.name, 0o700, dir_fd=place.folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(place.name, dir_fd=place.folder).st_mode):
                self._remove(place)
                os.mkdir(place.name, 0o700, dir_fd=place.folder)
        return place.real

    def hard_link(self, path: str, first: str) -> None:
        """Makes a hard link to what is there by its first name. Raises Damaged when it isn't."""
        parent, _, name = first.rpartition("/")
        real = self._links.resolve(parent)
        folder = self.existing(real)
        if folder is None:
            raise Damaged(f"'{path}' is a hard link to '{first}', which is not in this layer")
        try:
            if self.place(path).real == (f"{real}/{name}" if real else name):
                return
            self.make(path, lambda place: _link(name, folder, place))
        except (FileNotFoundError, PermissionError):  # not there, or a folder
            raise Damaged(f"'{path}' is a hard link to '{first}', which is no file of this layer") from None
        finally:
            os.close(folder)

    def _open(self, real: str) -> int:
        folder = os.dup(self._root)
        done = ""
        for name in filter(None, real.split("/")):
            done = f"{done}/{name}" if done else name
            try:
                inner = self._enter(name, folder, done)
            finally:
                os.close(folder)
            folder = inner
        return folder

    def _enter(self, name: str, folder: int, real: str) -> int:
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=folder)
        except FileNotFoundError:
            os.mkdir(name, 0o700, dir_fd=folder)
            self.implied.add(real)
            return os.open(name, _OPEN_FOLDER, dir_fd=folder)
        except NotADirectoryError:
            raise Damaged(f"'{real}' is a file, and a folder with files in it") from None

    def _remove(self, place: Place) -> None:
        removal.remove(place.name, place.folder)
        self._links.add(Added(removed=(place.real,)))
        self._near = _NOWHERE  # it may have led through what is gone


def clean(path: str) -> str:
    """The path relative to the root, without empty parts; empty for the root itself.

    Raises Damaged for one that leads outside, or that nothing can have.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Damaged(f"'{path}' leads out of the image")
    if "\0" in path:
        raise Damaged(f"{path!r} is no path")
    return "/".join(parts)


def _link(name: str, folder: int, place: Place) -> None:
    os.link(name, place.name, src_dir_fd=folder, dst_dir_fd=place.folder, follow_symlinks=False)
