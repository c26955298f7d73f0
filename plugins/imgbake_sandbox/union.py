"""Layers and an upper folder as one folder, by overlayfs."""

from __future__ import annotations

import os

from imgbake_sandbox import kernel
from imgbake_sandbox.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from imgbake_sandbox.records import Records

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_WALKED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o755
_OPTIONS = "userxattr,index=off,volatile,upperdir=upper,workdir=work,lowerdir="
_CHANGING = ("upper", "work")


class Union:
    """What a spec says of layers, an upper folder and a work folder. All raise Failure.

    Nothing is synced to the disk (`volatile`), so what is in the upper folder must be kept elsewhere or
    thrown away, and a work folder can be used once.
    """

    def __init__(self, spec: Records) -> None:
        """Opens the folders, so that it doesn't matter what hides them later."""
        self._layers = [_opened(path) for (path,) in spec.all("lower")]
        self._changing = [_opened(spec.one(name)) for name in _CHANGING if spec.one(name)]
        self._has_upper = bool(spec.one("upper"))
        self._on_disk = -1  # a folder with an upper folder to be thrown away
        self._remove: Callable[[str, int], None] | None = None

    def has_files(self, path: str) -> bool:
        """Is there anything but folders below this path of the upper folder? Before it is mounted."""
        if not self._has_upper:
            return False
        upper, _ = self._changing
        try:
            folder = os.open(path.lstrip("/"), _WALKED, dir_fd=upper)
        except OSError:
            return False
        try:
            return any(files for _, _, files, _ in os.fwalk(dir_fd=folder))
        finally:
            os.close(folder)

    def mount(self, point: str, below: str) -> None:
        """Mounts it at a folder of the working folder, which is in memory and empty but for it and `below`.

        `below` is a folder too, and lies under all layers. Options of a mount must fit into a page, so the
        folders get short names here.
        """
        if not self._has_upper:
            self._changing = self._to_throw_away()
        names = [str(number) for number in range(len(self._layers))]
        folders = [*self._layers, *self._changing]
        for name, folder in zip([*names, *_CHANGING], folders, strict=True):
            os.symlink(f"/proc/self/fd/{folder}", name)
        try:
            options = _OPTIONS + ":".join([*reversed(names), below])
            kernel.mount("overlay", point, "overlay", kernel.MS_NODEV, options)
        except OSError as error:
            raise Failure("overlay", f"overlayfs can't be mounted: {error.strerror}", error.errno) from None
        for folder in folders:
            os.close(folder)

    def clear(self) -> None:
        """Removes an upper folder that is to be thrown away, if it isn't in memory."""
        if self._remove:
            for name in _CHANGING:
                self._remove(name, self._on_disk)

    def _to_throw_away(self) -> list[int]:
        """An upper and a work folder: in memory, or on disk where tmpfs lacks attributes (before 6.6)."""
        os.mkdir("memory")
        place = _opened("memory")
        try:
            os.setxattr("memory", "user.imgbake", b"")
        except OSError:
            if not self._changing:
                raise Failure("spec", "without an upper folder, this kernel needs a work folder") from None
            from imgbake_sandbox import removal  # few need it, and later nothing can be imported

            (place,) = self._changing
            self._on_disk, self._remove = place, removal.remove
        for name in _CHANGING:
            os.mkdir(name, _MODE, dir_fd=place)
        return [os.open(name, _FOLDER, dir_fd=place) for name in _CHANGING]


def _opened(path: str) -> int:
    try:
        return os.open(path, _FOLDER)
    except OSError as error:
        raise Failure("spec", f"'{path}' can't be opened: {error.strerror}", error.errno) from None
