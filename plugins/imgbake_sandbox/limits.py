"""Limits of memory, processors and processes for all that runs in a sandbox.

A control group of its own holds them, below the one we are in or beside it, wherever we may make one.
Without it only what the kernel limits for each process by itself is left, and a note says so.

    limit       version 2       version 1                        without a group
    memory      memory.max      memory.limit_in_bytes            RLIMIT_DATA, for each process
    cpus        cpu.max         cpu.cfs_quota_us                 that many of the processors
    processes   pids.max        pids.max                         RLIMIT_NPROC, for each user but root

A group is removed when its sandbox ends; one whose imgbake was killed is removed by the next.
(Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.)
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROOT = "/sys/fs/cgroup"
_OWN = "/proc/self/cgroup"
_PREFIX = "imgbake-sandbox-"
_PERIOD = 100_000  # microseconds: the kernel's default
_CONTROLLERS = {"memory": "memory", "cpus": "cpu", "processes": "pids"}

_NOTES = {
    "memory": "memory is limited for each process, not for all together",
    "cpus": "processors are limited by their number, not by time",
    "processes": "processes are limited for each user, and not at all for root",
}


class Limits:
    """Limits as they can be had here."""

    def __init__(self, wanted: Mapping[str, str], root: str = _ROOT, own: str = _OWN) -> None:
        """Makes the groups. `wanted` holds memory in bytes, a number of cpus, a number of processes."""
        self._groups: list[str] = []
        self._without = dict(wanted)
        if wanted:
            self._make_groups(root, [line.split(":", 2) for line in _read(own).splitlines()])

    def apply(self) -> list[str]:
        """Puts this process, and those that it will start, under the limits.

        Returns what can't be limited as it should be, in words for the user.
        """
        if not all(_write(f"{group}/cgroup.procs", "0") for group in self._groups):
            return ["a control group refuses the sandbox: not all limits hold"]
        for name, value in self._without.items():
            _limit_each(name, value)
        return [f"there is no control group to be had: {_NOTES[name]}" for name in self._without]

    def kills(self) -> int:
        """How many processes were killed because there was not enough memory."""
        counts = [0]
        for group in self._groups:
            for name in ("memory.events", "memory.oom_control"):
                lines = (line.split() for line in _read(f"{group}/{name}").splitlines())
                counts += [int(words[1]) for words in lines if words[0] == "oom_kill"]
        return max(counts)

    def close(self) -> None:
        """Removes the groups, which must be empty by now."""
        for group in self._groups:
            _remove(group)
        self._groups = []

    def _make_groups(self, root: str, own: Iterable[list[str]]) -> None:
        for number, controllers, path in own:
            if number == "0":
                # Beside our own group too: one with processes may not have groups with limits below it.
                parents = [f"{root}{path}", f"{root}{os.path.dirname(path)}"]
                names = list(self._without)
                version = 2
            else:
                parents = [f"{root}/{controller}{path}" for controller in controllers.split(",")]
                names = [name for name in self._without if _CONTROLLERS[name] in controllers.split(",")]
                version = 1
            self._make_group(parents, names, version)

    def _make_group(self, parents: Iterable[str], names: list[str], version: int) -> None:
        """Makes a group below the first of these where one of the limits holds."""
        for parent in parents if names else ():
            _enable(parent, names, version)
            group = _make(parent)
            limited = [
                name for name in names if group and _limit(group, _files(name, self._without[name], version))
            ]
            for name in limited:
                del self._without[name]
            if limited:
                self._groups.append(group)
                return
            _remove(group)


def _enable(parent: str, names: Iterable[str], version: int) -> None:
    if version == 2:
        for name in names:
            _write(f"{parent}/cgroup.subtree_control", f"+{_CONTROLLERS[name]}")


def _limit(group: str, files: list[tuple[str, str]]) -> bool:
    """Writes values to a group's files. The first counts, the others are not everywhere."""
    (first, value), *others = files
    is_limited = _write(f"{group}/{first}", value)
    for name, text in others:
        _write(f"{group}/{name}", text)
    return is_limited


def _files(name: str, value: str, version: int) -> list[tuple[str, str]]:
    """The files of a group, and what is written to them."""
    if name == "processes":
        return [("pids.max", value)]
    if name == "memory":
        if version == 2:
            return [("memory.max", value), ("memory.swap.max", "0")]
        return [("memory.limit_in_bytes", value), ("memory.memsw.limit_in_bytes", value)]
    quota = str(int(float(value) * _PERIOD))
    if version == 2:
        return [("cpu.max", f"{quota} {_PERIOD}")]
    return [("cpu.cfs_quota_us", quota), ("cpu.cfs_period_us", str(_PERIOD))]


def _limit_each(name: str, value: str) -> None:
    import resource  # few want it

    if name == "memory":
        resource.setrlimit(resource.RLIMIT_DATA, (int(value), int(value)))
    elif name == "processes":
        resource.setrlimit(resource.RLIMIT_NPROC, (int(value), int(value)))
    else:
        count = max(1, int(-(-float(value) // 1)))  # rounded up
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _make(parent: str) -> str:
    """A new group below this one, or nothing where we may not make one."""
    try:
        for name in os.listdir(parent):
            if name.startswith(_PREFIX) and not os.path.exists(f"/proc/{name.removeprefix(_PREFIX)}"):
                _remove(f"{parent}/{name}")
        group = f"{parent}/{_PREFIX}{os.getpid()}"
        os.mkdir(group)
    except OSError:
        return ""
    return group


def _remove(group: str) -> None:
    try:
        os.rmdir(group)
    except OSError:
        pass  # somebody lives in it, or it is gone


def _write(path: str, text: str) -> bool:
    """Writes to a file that is there already. False when that is refused."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
