"""The root of a sandbox: an overlay of folders, what programs expect of a system, and nothing else.

What comes from outside is opened, and its mount made as narrow as it needs to be, before the root is
changed; it is put in its place afterwards, when no symlink of the image can lead outside any more.

Mount points that the image lacks are in a folder of ours below its layers, so that making them leaves
nothing in the upper folder. Where a layer hides that folder (a whiteout, a dangling symlink), they are
made in the image and removed after the last command.

Where there already are files in the upper folder at the path of a tmpfs, as a component may copy them to
/tmp, there is none: commands have to find them. Owner and permissions that commands give to a folder with a
tmpfs on it are the image's too; what they put there isn't.

/etc/resolv.conf and /etc/hosts are copies of the host's, which a command may change and nobody keeps.
"""

from __future__ import annotations

import os
import stat

from imgbake_sandbox import kernel
from imgbake_sandbox.failure import Failure
from imgbake_sandbox.points import Points, require_folder
from imgbake_sandbox.system import System
from imgbake_sandbox.union import Union
from imgbake_sandbox.users import unmapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgbake_sandbox.records import Records
    from imgbake_sandbox.users import User

_NARROW = kernel.MOUNT_NOSUID | kernel.MOUNT_NODEV
_FILE = _NARROW | kernel.MOUNT_NOEXEC
_MS_NARROW = kernel.MS_NOSUID | kernel.MS_NODEV
_SYSTEM = ("/proc", "/sys", "/dev")
_RESOLVER = "/etc/resolv.conf"
_HOSTS = "/etc/hosts"
_LOOPBACK = b"127.0.0.1\tlocalhost\n::1\tlocalhost\n"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER_MODE = 0o755
_SHARED_MODE = 0o1777
_SECRET_MODE = 0o400
_MOST_FOLDERS = 1000


class Root:
    """A root in the making, in a mount namespace that only this process is in.

    It is built by the constructor; then `enter` and `furnish`; at the end `clear`. All raise Failure.
    """

    def __init__(self, spec: Records, scratch: str) -> None:
        """`scratch` is any existing folder, which from now on can't be seen by this process."""
        self._spec = spec
        self._scratch = scratch
        self._incoming: list[tuple[str, int, bool]] = []  # target, mount, is it a folder?
        self._secrets: list[int] = []
        self._covered: list[_Covered] = []
        self._union = Union(spec)
        self._in_memory = [path for (path,) in spec.all("tmpfs") if not self._union.has_files(path)]
        for source, target, access in spec.all("bind"):
            self._bring(source, target, _NARROW if access == "write" else _NARROW | kernel.MOUNT_RDONLY)
        texts = self._texts()
        kernel.mount("tmpfs", scratch, "tmpfs", _MS_NARROW, "mode=0700")
        for path, text in texts.items():
            self._bring(self._new_file(os.path.basename(path), text, 0o644), path, _FILE)
        for number, (target, variable) in enumerate(spec.all("secret")):
            self._bring_secret(f"secret-{number}", target, os.environb.get(variable.encode(), b""))
        self._system = System(scratch)
        self.notes = self._system.notes
        os.chdir(scratch)
        os.mkdir("root")
        self._make_points("points")
        self._union.mount("root", "points")

    def enter(self) -> Points:
        """Makes it the root of this process. Nothing outside has a path any more."""
        os.chdir("root")
        kernel.pivot_root(".", ".")
        kernel.detach(".")
        os.chdir("/")
        return Points()

    def furnish(self, points: Points) -> None:
        """Puts everything in its place."""
        for path in _SYSTEM:
            require_folder(path)
        self._system.furnish(points)
        for path in self._in_memory:
            if covered := _put_tmpfs(path, points):
                self._covered.append(covered)
        for target, mounted, is_folder in self._incoming:
            points.attach(mounted, target, is_folder=is_folder)

    def give_secrets(self, user: User) -> None:
        """Lets one user read the secrets."""
        for file in self._secrets:
            try:
                os.fchown(file, user.uid, user.gid)
            except OSError as error:
                raise unmapped(user, error) from None
            os.close(file)
        self._secrets = []

    def clear(self, points: Points) -> None:
        """Leaves in the upper folder only what commands put there. Nothing may run any more."""
        for covered in self._covered:
            covered.uncover()
        points.clear()
        self._union.clear()

    def _bring(self, source: str, target: str, attributes: int) -> None:
        try:
            is_folder = stat.S_ISDIR(os.stat(source).st_mode)
            self._incoming.append((target, kernel.clone_mount(source, attributes), is_folder))
        except OSError as error:
            raise Failure("mount", f"'{source}' can't be mounted: {error.strerror}", error.errno) from None

    def _texts(self) -> dict[str, bytes]:
        hosts = _host_text(_HOSTS) if self._spec.one("network") == "host" else b""
        name = f"127.0.1.1\t{self._spec.one('hostname')}\n".encode()
        texts = {_HOSTS: (hosts or _LOOPBACK).rstrip(b"\n") + b"\n" + name}
        resolver = _host_text(_RESOLVER)
        return texts | {_RESOLVER: resolver} if resolver else texts

    def _bring_secret(self, name: str, target: str, value: bytes) -> None:
        path = self._new_file(name, value, _SECRET_MODE)
        self._secrets.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        self._bring(path, target, _FILE | kernel.MOUNT_RDONLY)

    def _new_file(self, name: str, content: bytes, mode: int) -> str:
        path = f"{self._scratch}/{name}"
        with open(os.open(path, _NEW_FILE, mode), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        return path

    def _make_points(self, name: str) -> None:
        folders = [*_SYSTEM, *self._in_memory]
        files: list[str] = []
        for target, _, is_folder in self._incoming:
            (folders if is_folder else files).append(target)
        for path in (*folders, *(os.path.dirname(path) for path in files)):
            os.makedirs(name + os.path.normpath(path), _FOLDER_MODE, exist_ok=True)
            if os.path.basename(path) == "tmp":
                os.chmod(name + path, _SHARED_MODE)
        for path in files:
            os.close(os.open(name + os.path.normpath(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


class _Covered:
    """A folder of the image with a tmpfs on it."""

    def __init__(self, below: int, path: str) -> None:
        """`below` is the open folder, `path` leads to the tmpfs."""
        self._below = below
        self._above = os.open(path, _FOLDER)
        self._before = os.fstat(self._above)

    def uncover(self) -> None:
        """Gives the folder the owner and the permissions that the tmpfs has been given."""
        before, after = self._before, os.fstat(self._above)
        if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
            os.fchown(self._below, after.st_uid, after.st_gid)
        if before.st_mode != after.st_mode:
            os.fchmod(self._below, stat.S_IMODE(after.st_mode))


def _put_tmpfs(path: str, points: Points) -> _Covered | None:
    """An empty file system in memory, with the folders that the image has there (such as /run/lock)."""
    if not os.path.isdir(path):
        points.mount("tmpfs", path, _MS_NARROW)
        return None
    below, kept = os.open(path, _FOLDER), list(_folders(path))
    points.mount("tmpfs", path, _MS_NARROW)
    for relative, found in kept:
        inner = os.path.join(path, relative)
        if relative:
            os.mkdir(inner)
        _give(inner, found)
        os.chmod(inner, stat.S_IMODE(found.st_mode))
    return _Covered(below, path)


def _folders(path: str) -> Iterable[tuple[str, os.stat_result]]:
    """A folder and those below it, relative to it, each after the one that it is in."""
    left = [""]
    for _ in range(_MOST_FOLDERS):
        if not left:
            break
        relative = left.pop()
        inner = os.path.join(path, relative)
        yield relative, os.stat(inner)
        with os.scandir(inner) as entries:
            left += [
                os.path.join(relative, entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)
            ]


def _give(path: str, like: os.stat_result) -> None:
    try:
        os.chown(path, like.st_uid, like.st_gid)
    except OSError:
        pass  # the map has no such owner, so it stays root's


def _host_text(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
