"""What a process has of whoever started it, and can't be handed by one process to another."""

from __future__ import annotations

import os

_STATUS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "Cap", "NoNewPrivs", "Seccomp:", "Cpus_allowed_list")
_WHOLE = ("limits", "personality", "attr/current")
_LINKS = ("root", "ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/user", "ns/uts")
_AT_START = ("GLIBC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON")  # variables that nobody heeds later


def circumstances() -> dict[str, str]:
    """This process's own, by name. Raises OSError where the kernel doesn't tell."""
    found = {name: value for name, value in os.environ.items() if name.startswith(_AT_START)}
    found["nice"] = str(os.getpriority(os.PRIO_PROCESS, 0))
    found["scheduling"] = str(os.sched_getscheduler(0))
    for line in _read("status").splitlines():
        if line.startswith(_STATUS):
            name, _, value = line.partition(":")
            found[name] = value.strip()
    for name in _WHOLE:
        found[name] = _read(name)
    for name in _LINKS:
        found[name] = os.readlink(f"/proc/self/{name}")  # noqa: PTH115  # pathlib is slow
    return found


def _read(name: str) -> str:
    """A file of /proc about this process; empty where the kernel has none, or keeps it to itself."""
    try:
        with open(f"/proc/self/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        if name == "status":
            raise
        return ""
