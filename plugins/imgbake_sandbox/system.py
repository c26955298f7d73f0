"""The file systems that every program expects: /proc, /sys and /dev.

    /proc   of the new process namespace. All that isn't of a process is read-only, and what tells or
            does too much is empty. In a container that hides parts of its own, the kernel allows no
            new one: then it is that one, read-only
    /sys    read-only
    /dev    null, zero, full, random, urandom, tty, a file system of terminals of its own, shm

Device nodes are the host's, mounted read-only: whether they can be written to is up to the device, but
their owner and permissions can't be changed, not by real root either.
"""

from __future__ import annotations

import errno
import os

from imgbake_sandbox import kernel
from imgbake_sandbox.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from imgbake_sandbox.points import Points

_MS_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_QUIET = kernel.MOUNT_NOSUID | kernel.MOUNT_NODEV | kernel.MOUNT_NOEXEC
_READ_ONLY = _QUIET | kernel.MOUNT_RDONLY
_DEVICE = kernel.MOUNT_NOSUID | kernel.MOUNT_NOEXEC | kernel.MOUNT_RDONLY

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_DEVICE_FILE_MODE = 0o666
_TERMINALS = "newinstance,ptmxmode=0666,mode=0620"
_TERMINALS_GROUP = "gid=5"  # tty, on every distribution

# What docker hides (moby, oci/defaults.go), and what root may read of the kernel in debugfs and its like.
_HIDDEN = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/bpf",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
)
_WRITABLE = 0o222


class System:
    """The three, made before the root is changed and put in their places afterwards."""

    def __init__(self, scratch: str) -> None:
        """`scratch` is an empty folder that is given up when the root is changed. Raises Failure, OSError."""
        self.notes: list[str] = []
        self._devices = {
            name: kernel.clone_mount(f"/dev/{name}", _DEVICE)
            for name in _DEVICES
            if os.path.exists(f"/dev/{name}")
        }
        self._sys = _made(scratch, "sysfs", _READ_ONLY) or kernel.clone_mount("/sys", _READ_ONLY)
        proc = _made(scratch, "proc", _QUIET)
        self._has_own_proc = proc is not None
        if proc is None:
            proc = kernel.clone_mount("/proc", _READ_ONLY)
            self.notes.append(
                "/proc shows the processes around the sandbox, for the container we are in hides parts of it"
            )
        self._proc = proc

    def furnish(self, points: Points) -> None:
        """Puts everything in its place. Raises Failure."""
        points.attach(self._proc, "/proc", is_folder=True)
        points.attach(self._sys, "/sys", is_folder=True)
        self._furnish_devices(points)
        if self._has_own_proc:
            _protect_proc()
        for path in _HIDDEN:
            _hide(path)

    def _furnish_devices(self, points: Points) -> None:
        points.mount("tmpfs", "/dev", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, "mode=0755")
        for name, mounted in self._devices.items():
            os.close(os.open(f"/dev/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _DEVICE_FILE_MODE))
            kernel.attach_mount(mounted, f"/dev/{name}")
        for name, target in _DEVICE_LINKS.items():
            os.symlink(target, f"/dev/{name}")
        os.mkdir("/dev/shm")
        kernel.mount("tmpfs", "/dev/shm", "tmpfs", _MS_QUIET, "mode=1777")
        os.mkdir("/dev/pts")
        _mount_terminals("/dev/pts")


def _made(scratch: str, kind: str, attributes: int) -> int | None:
    """A new file system of this kind, or None where the kernel allows only the one that is here."""
    point = f"{scratch}/{kind}"
    os.mkdir(point)
    try:
        kernel.mount(kind, point, kind, _MS_QUIET)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise Failure("mount", f"{kind} can't be mounted: {error.strerror}", error.errno) from None
        return None
    return kernel.clone_mount(point, attributes)


def _mount_terminals(path: str) -> None:
    flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
    try:
        kernel.mount("devpts", path, "devpts", flags, f"{_TERMINALS},{_TERMINALS_GROUP}")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        kernel.mount("devpts", path, "devpts", flags, _TERMINALS)  # there is no such group in the map


def _protect_proc() -> None:
    """Makes read-only what isn't of a process: settings of the kernel, mostly."""
    with os.scandir("/proc") as entries:
        found = [
            entry.path
            for entry in entries
            if not entry.name.isdigit() and not entry.is_symlink() and entry.path not in _HIDDEN
        ]
    for path in found:
        if os.path.isdir(path) or os.stat(path).st_mode & _WRITABLE:
            kernel.attach_mount(kernel.clone_mount(path, _READ_ONLY), path)


def _hide(path: str) -> None:
    if os.path.isdir(path):
        kernel.mount("tmpfs", path, "tmpfs", _MS_QUIET | kernel.MS_RDONLY, "mode=0555")
    elif os.path.exists(path):
        kernel.attach_mount(kernel.clone_mount("/dev/null", _DEVICE), path)
