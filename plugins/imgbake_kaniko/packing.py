"""The context that Kaniko builds from, as one compressed tar: the Dockerfile and the archives it adds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import msgspec

from imgbake.api import Blueprint, RunContext
from imgbake_docker import archives, lowering
from imgbake_docker.lowering import BASE_USER, BASE_WORKDIR
from imgbake_docker.options import Options as DockerOptions
from imgbake_kaniko import dockerfiles
from imgbake_kaniko.lowering import PASSED, is_checked
from imgbake_oci import bases
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders

_FETCHED = Format("gzip", 1)
_LEVEL = 1  # of gzip: the way to a cluster is faster than more would be


class Packed(msgspec.Struct, frozen=True):
    """A context."""

    path: Path
    dockerfile: str = "Dockerfile"  # its name in the context
    flags: tuple[str, ...] = ()  # arguments for the build


def pack(blueprint: Blueprint, dockerfile: str, ctx: RunContext) -> Packed:
    """Writes the context into the step's folder. Raises BakeError."""
    path = ctx.work / "context.tar.gz"
    if blueprint.described is not None:
        return Packed(path, dockerfiles.pack(blueprint.described, path, ctx))
    base = _base(blueprint, dockerfile, ctx)
    below = Folders()
    for added in bases.folders(base, ctx):
        below.add(added)
    with tarfile.open(path, "w:gz", compresslevel=_LEVEL) as tar:
        _add(tar, "Dockerfile", dockerfile.encode())
        if is_checked(blueprint):
            _add(tar, PASSED, b"")
        for stage in lowering.stages(blueprint, DockerOptions()):
            if stage.layer is not None and stage.archive():
                tar.add(archives.archive(stage.layer, below, blueprint.epoch, ctx), stage.archive())
    return Packed(path, flags=_arguments(base, dockerfile))


def _base(blueprint: Blueprint, dockerfile: str, ctx: RunContext) -> Base:
    """What is known of the base: everything, if that decides anything here."""
    copies = any(layer.files for layer in blueprint.layers)
    if copies or f"ARG {BASE_USER}" in dockerfile or f"ARG {BASE_WORKDIR}" in dockerfile:
        return bases.fetch(blueprint.base, None, _FETCHED, ctx)
    return Base(bases.host())


def _arguments(base: Base, dockerfile: str) -> tuple[str, ...]:
    """What gives back user and folder of the base behind a component that has changed them."""
    config = (base.config.whole.get("config") if base.config else None) or {}
    given = {BASE_USER: config.get("User") or "", BASE_WORKDIR: config.get("WorkingDir") or "/"}
    return tuple(
        f"--build-arg={name}={value}" for name, value in given.items() if f"ARG {name}" in dockerfile
    )


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
