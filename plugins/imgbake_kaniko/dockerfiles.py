"""Images that are Dockerfiles of the user's own: what Kaniko can't do with them, and their context."""

from __future__ import annotations

import gzip
from pathlib import Path

from imgbake.api import BakeError, Blueprint, Described, RunContext
from imgbake_docker.packing import packed
from imgbake_dockerfile.request import LOCAL, Request, documents, request

_LEVEL = 1  # of gzip: the way to a cluster is faster than more would be


def lower(described: Described, blueprint: Blueprint) -> dict[str, str]:
    """The documents that say what is built. Raises BakeError for what Kaniko can't do."""
    asked = request(described)
    for what, is_asked in _refused(asked).items():
        if is_asked:
            hint = 'leave it out, or bake the image with `uses = "docker"`'
            raise BakeError(f"image '{blueprint.image}' asks for {what}, which Kaniko has not", hint=hint)
    for reference, base in described.bases.items():
        if base.facts.get(LOCAL):
            hint = "push it to a registry and name it there"
            raise BakeError(f"the cluster can't see {reference}: it is on this machine", hint=hint)
    return documents(described)


def flags(described: Described) -> tuple[str, ...]:
    """What the executor is told besides the Dockerfile."""
    asked = request(described)
    found = [f"--build-arg={name}={value}" for name, value in asked.args.items()]
    found += [f"--label={name}={value}" for name, value in asked.labels.items()]
    return (*found, *([f"--target={asked.target}"] if asked.target else []))


def pack(described: Described, path: Path, ctx: RunContext) -> str:
    """Writes the context to a path, and returns the name that the Dockerfile has in it. Raises BakeError."""
    pack = packed(request(described), described.files, ctx)
    with gzip.open(path, "wb", compresslevel=_LEVEL) as file:
        for piece in pack.pieces():
            ctx.check()
            file.write(piece)
    return pack.dockerfile


def _refused(asked: Request) -> dict[str, bool]:
    return {
        asked.only_buildkit: bool(asked.only_buildkit),
        "`contexts` of images that no registry has": bool(asked.contexts),
        "`secrets`": bool(asked.secrets),
        "`ssh`": bool(asked.ssh),
        "`cache_from`": bool(asked.cache_from),
        "`cache_to`": bool(asked.cache_to),
        "`network`": asked.network != "default",
        "`platforms`": bool(asked.platforms),
    }
