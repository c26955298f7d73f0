"""Which users a sandbox can have here, and why no more.

    root         real ids: every user inside is the same outside
    subordinate  root inside is us, the others are ids that the administrator has set aside for us in
                 /etc/subuid and /etc/subgid; newuidmap and newgidmap hand them out
    single       root inside is us, and there is nobody else: files can't be given to a third user

Root is given a user namespace too, with every id mapped to itself: what it may do in there it may do to
the sandbox, not to the machine. Only where user namespaces are forbidden it does without.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from imgbake_sandbox import starting

Kind = Literal["root", "subordinate", "single"]
Line = tuple[int, int, int]

_SUBUID = Path("/etc/subuid")
_SUBGID = Path("/etc/subgid")
_ADD_IDS = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535"
_PROGRAMS = ("newuidmap", "newgidmap")
_MANAGING_IDS = (6, 7, 31)  # the capabilities setgid, setuid and setfcap, which a map of many ids takes


class Identity(msgspec.Struct, frozen=True):
    """How users inside and outside correspond: lines of a first id inside, a first id outside, a number."""

    kind: Kind
    uids: tuple[Line, ...]
    gids: tuple[Line, ...]
    user_namespace: bool = True
    why: str = ""  # there is no better one, in words for the user

    def records(self) -> Iterator[tuple[str, ...]]:
        """What the programs of the sandbox are told of it."""
        yield "identity", self.kind if self.user_namespace else "none"
        yield from (("uid", *map(str, line)) for line in self.uids)
        yield from (("gid", *map(str, line)) for line in self.gids)

    def command(self, argv: list[str]) -> list[str]:
        """The command that runs a program of the host as root inside, and changes nothing else.

        To be started by this very process. For what has to read, make or remove files of users inside.
        """
        if self.kind == "root":
            return argv
        lines = [
            f"{name}:{':'.join(map(str, line))}"
            for name in ("uid", "gid")
            for line in getattr(self, f"{name}s")
        ]
        return starting.arguments("mapped", str(os.getpid()), self.kind, *lines, "--", *argv)


def candidates() -> Iterator[Identity]:
    """The identities that there may be for this user, the best first. Whether they work is to be tried."""
    if os.geteuid() == 0 and _may_manage_ids():
        uids, gids = _all_mapped("uid"), _all_mapped("gid")
        yield Identity("root", uids, gids)
        yield Identity("root", uids, gids, user_namespace=False)
        return
    uid, gid, name = os.geteuid(), os.getegid(), _user_name()
    uids, gids = _subordinate(_SUBUID, uid, name), _subordinate(_SUBGID, gid, name)
    lacking = _what_is_lacking(uids, gids, name)
    if not lacking:
        yield Identity("subordinate", ((0, uid, 1), *uids), ((0, gid, 1), *gids))
    yield Identity("single", ((0, uid, 1),), ((0, gid, 1),), why=lacking)


def _may_manage_ids() -> bool:
    """Are we real root, or as good as that in a container?"""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    held = int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
    return all(held >> number & 1 for number in _MANAGING_IDS)


def _all_mapped(name: str) -> tuple[Line, ...]:
    """Every id that there is in the namespace we are in, mapped to itself."""
    lines = Path(f"/proc/self/{name}_map").read_text(encoding="ascii").splitlines()
    firsts = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
    return tuple((first, first, count) for first, count in firsts)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _subordinate(path: Path, own: int, name: str) -> tuple[Line, ...]:
    """The ranges that a file sets aside for a user, one after the other from id 1 on (subuid(5))."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    found: list[Line] = []
    first = 1
    for line in lines:
        owner, _, numbers = line.partition(":")
        start, _, count = numbers.partition(":")
        if owner in (name, str(os.geteuid())) and start.isdigit() and count.isdigit() and int(count):
            if int(start) <= own < int(start) + int(count):
                continue  # an id can't be two
            found.append((first, int(start), int(count)))
            first += int(count)
    return tuple(found)


def _what_is_lacking(uids: tuple[Line, ...], gids: tuple[Line, ...], name: str) -> str:
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    if missing:
        return f"{' and '.join(missing)} can't be found (Debian's package uidmap, Fedora's shadow-utils)"
    for path, lines in ((_SUBUID, uids), (_SUBGID, gids)):
        if not lines:
            return f"{path} sets aside no ids for {name} ({_ADD_IDS} {name})"
    return ""
