"""Changes become a layer: a tar file that depends on what changed and on nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from imgbake.api import StepError
from imgbake_sandbox.capture import Change, Changes
from imgbake_sandbox.settling import settle_file
from imgbake_sandbox.tars import Added, Format, Packed, Packer, ustar

_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    "file": ustar.FILE,
    "dir": ustar.FOLDER,
    "symlink": ustar.SYMLINK,
    "hardlink": ustar.HARDLINK,
    "fifo": ustar.FIFO,
}


def write(
    changes: Changes,
    upper: int,
    path: Path,
    format: Format,
    epoch: int,
    each: Callable[[int, int], None] = lambda done, total: None,
) -> Packed:
    """Writes the layer of these changes, whose files lie in an open upper folder, to a new file.

    `epoch` is the modification time of every member, in seconds since 1970. `each` is told how many
    bytes of how many are done, and what it raises ends the work. Each file is settled once it was read,
    as it needn't be opened again for that. Raises StepError when a file changes meanwhile, and OSError.
    """
    total = sum(member.size for member in changes.members)
    headers = ustar.Headers(epoch)
    with Packer(path, format, lambda done: each(min(done, total), total)) as packer:
        for member in changes.members:
            packer.write(_header(member, headers))
            if member.kind == "file":
                _copy(member, upper, packer, epoch)
                packer.write(ustar.padding(member.size))
        packer.write(ustar.END)
        return packer.finish()


def added(changes: Changes) -> Added:
    """What the layer says of folders to those above it."""
    return Added.named(
        folders={each.path: (each.mode, *each.owner) for each in changes.members if each.kind == "dir"},
        links={each.path: each.link for each in changes.members if each.kind == "symlink"},
        removed=(each.path for each in changes.members if each.kind == "gone"),
    )


def _header(member: Change, headers: ustar.Headers) -> bytes:
    name = os.fsencode(member.path)
    if member.kind == "gone":
        folder, slash, base = name.rpartition(b"/")
        return headers.header(b"%b%b.wh.%b" % (folder, slash, base), ustar.FILE, 0o600, 0, 0)
    kind = _KINDS[member.kind]
    if member.kind == "dir":
        name += b"/"
    attributes = {os.fsencode(key): value for key, value in member.xattrs.items()}
    return headers.header(
        name, kind, member.mode, *member.owner, member.size, os.fsencode(member.link), attributes
    )


def _copy(member: Change, upper: int, packer: Packer, epoch: int) -> None:
    file = os.open(member.path, _OPEN_FILE, dir_fd=upper)
    try:
        count = packer.read(file, member.size)
        found = os.fstat(file)
        if not count == member.size == found.st_size:
            raise StepError(f"/{member.path} changed while it was read", hint="build again")
        settle_file(file, found, member.owner, epoch)
    finally:
        os.close(file)
