"""Mount points of a sandbox's root, seen from inside: nothing outside has a path any more."""

from __future__ import annotations

import os
import stat

from imgbake_sandbox import kernel
from imgbake_sandbox.failure import Failure

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


class Points:
    """Where mounts are put. What an image lacks for one is made, and removed again by `clear`.

    The image must be the root when it is constructed.
    """

    def __init__(self) -> None:
        self._image = os.stat("/").st_dev
        self._attached: list[str] = []
        self._made: list[str] = []

    def attach(self, mounted: int, path: str, *, is_folder: bool) -> None:
        """Puts a mount (of `kernel.clone_mount`) at a path, through symlinks. Raises Failure."""
        real = self._ready(path, is_folder)
        try:
            kernel.attach_mount(mounted, real)
        except OSError as error:
            raise _failed(path, error) from None
        self._attached.append(real)

    def mount(self, kind: str, path: str, flags: int, options: str = "") -> None:
        """Mounts a new file system at a path, through symlinks. Raises Failure."""
        real = self._ready(path, is_folder=True)
        try:
            kernel.mount(kind, real, kind, flags, options)
        except OSError as error:
            raise _failed(path, error) from None
        self._attached.append(real)

    def clear(self) -> None:
        """Unmounts and removes what was made. What a command put there stays. Nothing may run any more."""
        for path in reversed(self._attached if self._made else []):
            kernel.detach(path)
        for path in reversed(self._made):
            _remove(path)

    def _ready(self, path: str, is_folder: bool) -> str:
        """The path without symlinks, made if it isn't there."""
        real = os.path.realpath(path)
        try:
            self._make_folders(real if is_folder else os.path.dirname(real))
            if not is_folder and not os.path.exists(real):
                os.close(os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
                self._note_made(real)
        except OSError as error:
            raise _failed(path, error) from None
        return real

    def _make_folders(self, path: str) -> None:
        if not os.path.exists(path):
            self._make_folders(os.path.dirname(path))
            os.mkdir(path, _FOLDER_MODE)
            self._note_made(path)

    def _note_made(self, path: str) -> None:
        if os.stat(os.path.dirname(path)).st_dev == self._image:  # and not in what was mounted on it
            self._made.append(path)


def require_folder(path: str) -> None:
    """Raises Failure when the image has something else there, such as a symlink to another place."""
    if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
        raise Failure("mount", f"{path} of the image is no folder")


def _remove(path: str) -> None:
    try:
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        pass  # a command put something into it, or took it away


def _failed(path: str, error: OSError) -> Failure:
    return Failure("mount", f"nothing can be mounted on {path}: {error.strerror}", error.errno)
