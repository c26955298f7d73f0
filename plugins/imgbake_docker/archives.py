"""The files of a component as an archive, for builders that nobody can ask what commands did before it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from imgbake.api import BakeError, Layer, RunContext
from imgbake_oci import layers
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders

_PLAIN = Format("none", 0)  # a builder would have to take apart what we compress
_EMPTY = 1024  # bytes of an archive without members
_ROOTS = (0o755, 0, 0)


def exact(layer: Layer, below: Folders, epoch: int, ctx: RunContext) -> Path:
    """The files of a component on folders that are known, to which it adds its own."""
    made = layers.make(layer, below, _PLAIN, epoch, ctx)
    below.add(made.folders(ctx))
    if made.size <= _EMPTY:
        raise BakeError(f"component '{layer.component}' copies nothing", hint="leave its `files` out")
    path = ctx.work / f"{made.digest.removeprefix('sha256:')}.tar"
    shutil.copyfile(ctx.blobs.path(made.digest), path)
    return path


def archive(layer: Layer, below: Folders, epoch: int, ctx: RunContext) -> Path:
    """The files of a component, without the folders that unpacking makes by itself.

    What commands have made of the folders below is not known here. So nothing is said of folders that
    are as all are: then those that are there stay as they are, also where they are symlinks.
    """
    made = layers.make(layer, below, _PLAIN, epoch, ctx)
    below.add(made.folders(ctx))
    path = ctx.work / f"{made.digest.removeprefix('sha256:')}.tar"
    count = 0
    with tarfile.open(ctx.blobs.path(made.digest)) as whole, tarfile.open(path, "w") as tar:
        parents = {member.name.rpartition("/")[0] for member in whole}
        for member in whole:
            ctx.check()
            attributes = (member.mode, member.uid, member.gid)
            if member.isdir() and member.name in parents and attributes == _ROOTS:
                continue
            tar.addfile(member, whole.extractfile(member) if member.isreg() else None)
            count += 1
    if not count:
        raise BakeError(f"component '{layer.component}' copies nothing", hint="leave its `files` out")
    return path
