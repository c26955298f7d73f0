"""The target `docker`: images baked by a docker engine, from a Dockerfile that imgbake writes."""

from __future__ import annotations

from imgbake.api import Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `docker`."""
    from imgbake_docker.target import Docker

    return [Docker]
