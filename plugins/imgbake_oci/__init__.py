"""The embedded OCI target, and the bases that images start from."""

from __future__ import annotations

from imgbake.api import ResolveContext, Resolved, Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `oci`."""
    from imgbake_oci.target import Oci

    return [Oci]


@hookimpl
def imgbake_resolve(kind: str, reference: str, ctx: ResolveContext) -> Resolved | None:
    """Bases of containers: scratch, layouts, archives, and references to registries."""
    if kind != "container":
        return None
    from imgbake_oci import bases

    return bases.resolve(reference, ctx)
