"""What a blueprint may say that a file system has no place for. It is refused, never dropped."""

from __future__ import annotations

import msgspec

from imgbake.api import BakeError, Blueprint, ImageConfig
from imgbake_squashfs import environment


def check(blueprint: Blueprint, environment_file: str) -> None:
    """Raises BakeError for the first thing that can't be said."""
    image, nothing = blueprint.image, ImageConfig()
    for field in msgspec.structs.fields(ImageConfig):
        name = field.name
        if name != "env" and getattr(blueprint.config, name) != getattr(nothing, name):
            hint = "make an image of its own for squashfs, with the same components and without it"
            raise BakeError(f"image '{image}' says `{name}`, for which a file system has no place", hint=hint)
    if blueprint.base.reference != "scratch":
        hint = 'write base = "scratch"'
        raise BakeError(f"image '{image}': a squashfs image can't stand on another image", hint=hint)
    _check_variables(blueprint, environment_file)
    for layer in blueprint.layers:
        if any(copied.unpack for copied in layer.files):
            hint = "unpack it by a task, and copy what that makes"
            raise BakeError(f"component '{layer.component}': squashfs can't `unpack` archives", hint=hint)


def _check_variables(blueprint: Blueprint, environment_file: str) -> None:
    for name, value in environment.variables(blueprint).items():
        if not environment_file:
            hint = 'say where variables are written: environment_file = "/etc/environment"'
            message = f"image '{blueprint.image}' sets {name}, and a file system has no variables"
            raise BakeError(message, hint=hint)
        if "\n" in value:
            raise BakeError(f"the variable {name} holds a line break, which no line of a file can")
