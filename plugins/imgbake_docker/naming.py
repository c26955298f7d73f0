"""The names that stages, bases and images bear in Dockerfiles and on the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from imgbake.api import Artifact, Blueprint
from imgbake_oci.reference import parse

SCRATCH = "scratch"
ID = "image_id"  # the fact of an artifact that says that an engine baked it
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_DIGITS = 32  # of a digest, enough to name a base


def stage_name(component: str) -> str:
    """The stage of a component: Dockerfiles know lower case only, and a letter first."""
    name = component.lower()
    return name if name[0].isalpha() and name != SCRATCH else f"component-{name}"


def base_name(blueprint: Blueprint) -> str:
    """What stands after the first FROM: always one exact image.

    A base that does not come from a registry is given a name on the engine before it is used.
    """
    base = blueprint.base
    if base.reference == SCRATCH:
        return SCRATCH
    if is_baked(base):
        child = _NOT_IN_NAMES.sub("-", f"{blueprint.image}-{blueprint.target}".lower()).strip("-")
        return f"imgbake-base/{child}:{_short(base.digest)}"
    from imgbake_oci import sources

    if sources.is_remote(base.reference):
        return parse(base.reference).pinned(base.digest).familiar
    return f"imgbake-base:{_short(base.digest)}"


def is_baked(base: Artifact) -> bool:
    """Is this an image that this target baked?"""
    return ID in base.facts


def image_id(artifact: Artifact) -> str:
    """The engine's id of an image that this target baked."""
    return str(artifact.facts[ID])


def tags_of(image: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The names of a baked image on the engine, complete with a tag. Raises BakeError for what is none."""
    found = (parse(tag) for tag in tags or (image.lower(),))
    return tuple(f"{msgspec.structs.replace(each, tag='').familiar}:{each.tag}" for each in found)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]
