"""imgbake's target `squashfs`: bakes components into a compressed, read-only file system image.

The hooks only hand in what the plugin has; imgbake imports the rest when a recipe uses it.
"""

from __future__ import annotations

from imgbake.api import Artifact, BakeError, ResolveContext, Resolved, Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The one way of baking."""
    from imgbake_squashfs.target import Squashfs

    return [Squashfs]


@hookimpl
def imgbake_resolve(kind: str, reference: str, ctx: ResolveContext) -> Resolved | None:
    """The empty file system. Raises BakeError for every other base of a squashfs image."""
    if kind != "squashfs":
        return None
    if reference != "scratch":
        hint = 'write base = "scratch", or base = { squashfs = "scratch", container = "…" }'
        raise BakeError(f"a squashfs image starts from scratch, not from '{reference}'", hint=hint)
    return Resolved(Artifact("squashfs", reference="scratch"))
