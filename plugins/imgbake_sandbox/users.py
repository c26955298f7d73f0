"""Who a command runs as, by the image's own /etc/passwd and /etc/group, as docker understands it.

    name, uid, name:group, uid:gid, uid:group, ...; empty is root

A name must be in the image's files, a number need not. A group that is named is the only one; without it
the user's group counts, and all groups that list the user. (moby/sys/user, GetExecUser.)
"""

from __future__ import annotations

import os
import stat

from imgbake_sandbox.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSWD = "/etc/passwd"
_GROUP = "/etc/group"
_MOST_BYTES = 16 << 20
_LARGEST_ID = (1 << 31) - 1


class User:
    """Ids and home of a user of the image."""

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def find(text: str, passwd: str = _PASSWD, group: str = _GROUP) -> User:
    """The user that `text` names. Raises Failure when the image has no such user or group."""
    name, has_group, group_name = text.partition(":")
    user = _find_user(name or "0", passwd)
    if has_group and group_name:
        user.gid, user.groups = _find_group(group_name, group), []
    else:
        user.groups = _groups_of(user, name or "0", passwd, group)
    return user


def unmapped(user: User, error: OSError) -> Failure:
    """What to raise when the kernel knows no such user."""
    return Failure("user", f"{user.uid}:{user.gid} can't be a user here: {error.strerror}", error.errno)


def _find_user(name: str, passwd: str) -> User:
    number = _number(name)
    for fields in _lines(passwd, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None and (fields[0] == name or uid == number):
            return User(uid, gid, [], fields[5] or "/")
    if number is None:
        raise Failure("user", f"the image has no user '{name}' in {passwd}")
    return User(number, 0, [], "/")


def _find_group(name: str, group: str) -> int:
    number = _number(name)
    for fields in _lines(group, 4):
        gid = _number(fields[2])
        if gid is not None and (fields[0] == name or gid == number):
            return gid
    if number is None:
        raise Failure("user", f"the image has no group '{name}' in {group}")
    return number


def _groups_of(user: User, name: str, passwd: str, group: str) -> list[int]:
    users = (fields for fields in _lines(passwd, 7) if name in (fields[0], fields[2]))
    names = {fields[0] for fields in users if _number(fields[2]) == user.uid}
    found = []
    for fields in _lines(group, 4):
        gid = _number(fields[2])
        if gid is not None and names.intersection(fields[3].split(",")):
            found.append(gid)
    return found


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    if number > _LARGEST_ID:
        raise Failure("user", f"{text} is larger than any id")
    return number


def _lines(path: str, count: int) -> Iterator[list[str]]:
    """The fields of each line that has so many. Nothing when the file isn't there, or is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
        text = os.read(file, _MOST_BYTES) if is_file else b""
    finally:
        os.close(file)
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) >= count:
            yield fields
