"""What a docker engine does: it bakes images (the target `docker`) and runs tasks (see `container`)."""

from __future__ import annotations

from imgbake.api import Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `docker`."""
    from imgbake_docker.target import Docker

    return [Docker]
