"""The embedded OCI target, and the bases that images start from."""

from __future__ import annotations

from typing import Any

from imgbake.api import Artifact, ResolveContext, Resolved, Target, hookimpl


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


@hookimpl
def imgbake_base_config(artifact: Artifact, platform: str, ctx: ResolveContext) -> dict[str, Any] | None:
    """What bases of containers say: from their own configuration, for one platform."""
    if artifact.kind != "container":
        return None
    from imgbake_oci import base_config

    return base_config.read(artifact, platform, ctx)


@hookimpl
def imgbake_base_facts(artifact: Artifact, ctx: ResolveContext) -> dict[str, Any] | None:
    """What documents of containers say: platforms, size, age, and how they are run."""
    if artifact.kind != "container":
        return None
    from imgbake_oci import base_facts

    return base_facts.read(artifact, ctx)
