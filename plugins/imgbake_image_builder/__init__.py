"""The targets `image-builder` and `image-builder-container`: images baked by EC2 Image Builder."""

from __future__ import annotations

from imgbake.api import Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kinds `image-builder` and `image-builder-container`."""
    from imgbake_image_builder.target import ContainerTarget, ImageTarget

    return [ImageTarget, ContainerTarget]


@hookimpl
def imgbake_commands() -> list[tuple[str, object]]:
    """`imgbake image-builder`."""
    from imgbake_image_builder.commands import app

    return [("image-builder", app)]
