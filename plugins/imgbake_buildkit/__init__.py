"""The target `buildkit`: images baked by a BuildKit of the user's own, with or without a docker engine."""

from __future__ import annotations

from imgbake.api import Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `buildkit`."""
    from imgbake_buildkit.target import BuildKit

    return [BuildKit]
