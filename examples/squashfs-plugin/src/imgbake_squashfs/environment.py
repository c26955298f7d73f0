"""The variables of an image as a file: a file system has no other place for them."""

from __future__ import annotations

from imgbake.api import Blueprint, digest
from imgbake_squashfs.listing import Node


def variables(blueprint: Blueprint) -> dict[str, str]:
    """What the components set, then what the image sets."""
    found: dict[str, str] = {}
    for layer in blueprint.layers:
        found.update(layer.env)
    return {**found, **blueprint.config.env}


def text(blueprint: Blueprint) -> str:
    """One NAME=value a line, as environment(5) files have it."""
    return "".join(f"{name}={value}\n" for name, value in sorted(variables(blueprint).items()))


def entry(blueprint: Blueprint, path: str) -> Node | None:
    """The file in the image; None when there is to be none."""
    if not path:
        return None
    return Node(path.strip("/"), "file", 0o644, digest=digest.of_bytes(text(blueprint).encode()))
