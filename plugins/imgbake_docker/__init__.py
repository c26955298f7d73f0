"""What a docker engine does: it bakes images (the target `docker`) and runs tasks (the kind `container`)."""

from __future__ import annotations

from imgbake.api import Step, Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `docker`."""
    from imgbake_docker.target import Docker

    return [Docker]


@hookimpl
def imgbake_steps() -> list[type[Step]]:
    """The kind `container`."""
    from imgbake_docker.container import Container

    return [Container]
