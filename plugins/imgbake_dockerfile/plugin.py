"""Images that are a Dockerfile: the key `dockerfile` of [images.NAME]."""

from __future__ import annotations

from imgbake.api import Format, hookimpl


@hookimpl
def imgbake_formats() -> list[type[Format]]:
    """The kind `dockerfile`."""
    from imgbake_dockerfile.format import DockerfileFormat

    return [DockerfileFormat]
