"""Where an image on the engine comes from: is its name one of a registry, or was it made here?

An engine that keeps images itself gives digests to those alone that it pulled or pushed. One that keeps them
in containerd gives all of them digests; which were pulled or pushed it tells since version 1.53 of its API.
Of an older one imgbake.lock tells, and else the registry is asked.
"""

from __future__ import annotations

import re
from typing import Any

from imgbake.api import BakeError, PartsContext, ResolveContext
from imgbake_oci.reference import parse

PINS = "bases"
"""The table of imgbake.lock."""

_PORT = re.compile(r":\d+(?=/)")


def is_made_here(found: dict[str, Any], reference: str, ctx: PartsContext | ResolveContext) -> bool:
    """Has no registry an image of this name? `found` is what the engine says of the one that it has."""
    name = parse(reference).name
    if "Identity" in found:
        moved = (found["Identity"] or {}).get("Pull") or ()
        return all(_without_port(each["Repository"]) != _without_port(name) for each in moved)
    digests = {each.digest for each in map(parse, found.get("RepoDigests") or ()) if each.name == name}
    if found["Id"] not in digests:
        return not digests
    return ctx.pinned(PINS, reference) is None and not _registry_has(reference)


def registry_digest(reference: str) -> str:
    """What the registry says that the image is now. Raises BakeError."""
    from imgbake_oci.amazon import Registries, introduced
    from imgbake_oci.registry import Client as Registry

    with Registry() as registry:
        there = introduced(parse(reference), registry, Registries())
        return str(registry.resolve(there).digest)


def _registry_has(reference: str) -> bool:
    try:
        return bool(registry_digest(reference))
    except BakeError:
        return False


def _without_port(name: str) -> str:
    """A repository as containerd remembers it."""
    return _PORT.sub("", name, count=1)
