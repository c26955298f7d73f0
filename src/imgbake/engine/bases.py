"""What a base is: what a plugin resolves it to, or, of a stream's tag or image, what the stream remembers.

A stream is to a base what imgbake.lock is: it says which digest is meant, and the plugin that resolves
the source is told so. The source itself is not asked.
"""

from __future__ import annotations

from msgspec.structs import replace

from imgbake.contract import Resolved
from imgbake.engine.context import Looking
from imgbake.engine.project import Project
from imgbake.errors import BakeError
from imgbake.streams import PREFIX as STREAM


def resolve(kind: str, reference: str, project: Project, ctx: Looking) -> Resolved:
    """Pins a base to a digest. Raises BakeError when it isn't there."""
    if not reference.startswith(STREAM):
        return project.plugins.resolve(kind, reference, ctx)
    from imgbake.engine import remembered  # most recipes have no streams

    found = remembered.find(reference, project)
    if not found.image:
        return project.plugins.resolve(kind, found.source, ctx)
    if found.kind != kind:
        raise BakeError(f"{reference} is of the kind '{found.kind}', and a '{kind}' is needed")
    resolved = project.plugins.resolve(kind, found.source, ctx.pinned_to(found.image))
    artifact = replace(resolved.artifact, digest=found.image)
    return Resolved(artifact, (found.proof,) if found.proof else (), volatile=not found.proof)
