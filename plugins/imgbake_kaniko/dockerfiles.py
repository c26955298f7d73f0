"""Images that are Dockerfiles of the user's own: what Kaniko can't do with them, and their context."""

from __future__ import annotations

import gzip
from pathlib import Path

from msgspec.structs import replace

from imgbake.api import BakeError, Blueprint, Described, RunContext
from imgbake_docker.packing import packed
from imgbake_dockerfile.declaring import declared
from imgbake_dockerfile.planning import asked_platform
from imgbake_dockerfile.platforms import Platform
from imgbake_dockerfile.request import LOCAL, Request, documents, request
from imgbake_kaniko.options import Options

_LEVEL = 1  # of gzip: the way to a cluster is faster than more would be
_ARCHITECTURE = "kubernetes.io/arch"  # what nodes are labelled with


def lower(described: Described, blueprint: Blueprint, options: Options) -> dict[str, str]:
    """The documents that say what is built. Raises BakeError for what Kaniko can't do."""
    asked = request(described)
    _refuse_nodes(asked, blueprint, options)
    for what, is_asked in _refused(asked).items():
        if is_asked:
            hint = 'leave it out, or bake the image with `uses = "docker"`'
            raise BakeError(f"image '{blueprint.image}' asks for {what}, which Kaniko has not", hint=hint)
    for reference, base in described.bases.items():
        if base.facts.get(LOCAL):
            hint = "push it to a registry and name it there"
            raise BakeError(f"the cluster can't see {reference}: it is on this machine", hint=hint)
    return documents(replace(described, plan=completed(described)))


def completed(described: Described) -> Request:
    """What is built, with the arguments of platforms, which Kaniko has not: it bakes for where it runs."""
    asked = request(described)
    here = _platform(asked)
    return declared(asked, here, here)


def nodes(described: Described) -> dict[str, str]:
    """Labels of the nodes that it must be baked on: where it says for which platform, or asks."""
    asked = request(described)
    return {_ARCHITECTURE: _platform(asked).architecture} if _is_bound(asked) else {}


def flags(described: Described) -> tuple[str, ...]:
    """What the executor is told besides the Dockerfile."""
    asked = request(described)
    found = [f"--build-arg={name}={value}" for name, value in asked.args.items()]
    found += [f"--label={name}={value}" for name, value in asked.labels.items()]
    return (*found, *([f"--target={asked.target}"] if asked.target else []))


def pack(described: Described, path: Path, ctx: RunContext) -> str:
    """Writes the context to a path, and returns the name that the Dockerfile has in it. Raises BakeError."""
    pack = packed(completed(described), described.files, ctx)
    with gzip.open(path, "wb", compresslevel=_LEVEL) as file:
        for piece in pack.pieces():
            ctx.check()
            file.write(piece)
    return pack.dockerfile


def _platform(asked: Request) -> Platform:
    return asked_platform(asked.platforms[0] if asked.platforms else "")


def _is_bound(asked: Request) -> bool:
    """Would it be wrong on nodes of another platform?"""
    return bool(asked.platforms) or not asked.args.keys() >= set(asked.platform_args)


def _refuse_nodes(asked: Request, blueprint: Blueprint, options: Options) -> None:
    """Raises BakeError when it would be baked on nodes of another platform than it was planned for."""
    said, meant = options.node_selector.get(_ARCHITECTURE), _platform(asked).architecture
    if said and said != meant and _is_bound(asked):
        hint = f'write platforms = ["linux/{said}"] in the image\'s table'
        message = f"image '{blueprint.image}' is for {meant}, and the target's `node_selector` says {said}"
        raise BakeError(message, hint=hint)


def _refused(asked: Request) -> dict[str, bool]:
    return {
        asked.only_buildkit: bool(asked.only_buildkit),
        "`contexts` of images that no registry has": bool(asked.contexts),
        "`secrets`": bool(asked.secrets),
        "`ssh`": bool(asked.ssh),
        "`cache_from`": bool(asked.cache_from),
        "`cache_to`": bool(asked.cache_to),
        "`network`": asked.network != "default",
        "several `platforms`": len(asked.platforms) > 1,
    }
