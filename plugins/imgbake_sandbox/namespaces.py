"""The namespaces of a sandbox, and the user namespace's maps of ids.

The kernel lets a process map many ids only from outside its new namespace, so the map is written by a
child that stays behind: directly by root, through newuidmap and newgidmap (setuid programs that know
/etc/subuid and /etc/subgid) by everybody else. A map of one's own id alone needs neither.
(user_namespaces(7), "User and group ID mappings".)
"""

from __future__ import annotations

import os

from imgbake_sandbox import kernel
from imgbake_sandbox.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_NOT_FOUND = 127
_MAPPED = "mapped"


def enter(
    flags: int, identity: str, uids: Sequence[tuple[str, ...]], gids: Sequence[tuple[str, ...]]
) -> None:
    """Moves this process into new namespaces (CLONE_NEW* flags), a user namespace with these maps among them.

    A line of a map is a first id inside, a first id outside, and their number. `identity` is "root",
    "subordinate", "single", or "none" for no user namespace. Raises Failure.
    """
    if identity == "none":
        _unshare(flags)
    elif identity == "single":
        _unshare(flags | kernel.CLONE_NEWUSER)
        _write("setgroups", "deny")
        _write("uid_map", _lines(uids))
        _write("gid_map", _lines(gids))
    else:
        _enter_mapped(flags | kernel.CLONE_NEWUSER, identity, uids, gids)
        os.setgroups([])


def _enter_mapped(
    flags: int, identity: str, uids: Sequence[tuple[str, ...]], gids: Sequence[tuple[str, ...]]
) -> None:
    ready, tell_ready = os.pipe()
    mapped, tell_mapped = os.pipe()
    process = os.getpid()
    child = os.fork()
    if not child:
        os.close(tell_ready)
        os.close(mapped)
        _map_from_outside(process, identity, uids, gids, ready, tell_mapped)
    os.close(ready)
    os.close(tell_mapped)
    try:
        _unshare(flags)
        os.write(tell_ready, b"x")
    finally:
        os.close(tell_ready)
        said = os.read(mapped, 4096).decode(errors="replace")
        os.close(mapped)
        os.waitpid(child, 0)
    if said != _MAPPED:
        raise Failure("map", said or "the process that writes the map of ids died")


def _map_from_outside(
    process: int,
    identity: str,
    uids: Sequence[tuple[str, ...]],
    gids: Sequence[tuple[str, ...]],
    ready: int,
    tell: int,
) -> NoReturn:
    """Writes another process's maps once it is ready, and to `tell` that it did or what went wrong."""
    try:
        if os.read(ready, 1):
            if identity == "root":
                _write("uid_map", _lines(uids), process)
                _write("gid_map", _lines(gids), process)
            else:
                _run("newuidmap", process, uids)
                _run("newgidmap", process, gids)
            os.write(tell, _MAPPED.encode())
    except Failure as failure:
        os.write(tell, failure.message.encode())
    except OSError as error:
        os.write(tell, f"the map of ids can't be written: {error}".encode())
    finally:
        os._exit(0)


def _run(program: str, process: int, lines: Sequence[tuple[str, ...]]) -> None:
    arguments = [program, str(process), *(word for line in lines for word in line)]
    child = os.fork()
    if not child:
        try:
            os.execvp(program, arguments)
        finally:
            os._exit(_NOT_FOUND)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise Failure("map", f"'{' '.join(arguments)}' failed with exit code {code}")


def _unshare(flags: int) -> None:
    try:
        kernel.unshare(flags)
    except OSError as error:
        raise Failure("unshare", f"the kernel refuses namespaces: {error.strerror}", error.errno) from None


def _write(name: str, text: str, process: int | None = None) -> None:
    path = f"/proc/{process or 'self'}/{name}"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
    except OSError as error:
        raise Failure("map", f"{path} can't be written: {error.strerror}", error.errno) from None


def _lines(lines: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"{' '.join(line)}\n" for line in lines)
