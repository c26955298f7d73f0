"""Blueprints for tests."""

from __future__ import annotations

from imgbake.api import Artifact, Blueprint, Copied, Entry, ImageConfig, Layer, Tree

_NO_CONFIG = ImageConfig()


def blueprint(*layers: Layer, config: ImageConfig = _NO_CONFIG, base: str = "scratch") -> Blueprint:
    """A blueprint of an image `image` with these layers."""
    return Blueprint("image", "squashfs", Artifact("squashfs", reference=base), layers, config, 0)


def layer(to: str, *entries: Entry, component: str = "app", **more: object) -> Layer:
    """A layer of one copy."""
    return Layer(component, (Copied(to, Tree(entries), **more),))  # type: ignore[arg-type]  # keywords of Copied


def file(path: str, mode: int = 0o644) -> Entry:
    """A file of a tree."""
    return Entry(path, "file", mode, "sha256:" + "0" * 64, 1, f"src/{path}")
