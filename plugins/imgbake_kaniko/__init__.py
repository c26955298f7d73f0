"""The target `kaniko`: images baked by a Kaniko Job in a Kubernetes cluster, and pushed from there."""

from __future__ import annotations

from imgbake.api import Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `kaniko`."""
    from imgbake_kaniko.target import Kaniko

    return [Kaniko]
