"""Blueprints, for tests of what targets lower to."""

from __future__ import annotations

from imgbake.api import Artifact, Blueprint, Copied, Entry, ImageConfig, Layer, Tree

_NO_CONFIG = ImageConfig()


def blueprint(
    *layers: Layer, base: Artifact, target: str = "target", config: ImageConfig = _NO_CONFIG
) -> Blueprint:
    """A blueprint of an image `shop`, of these components."""
    return Blueprint("shop", target, base, layers, config, 0)


def copied(to: str, *paths: str, **more: object) -> Copied:
    """A copy of files of one byte."""
    entries = tuple(Entry(path, "file", 0o644, "sha256:" + "0" * 64, 1, f"src/{path}") for path in paths)
    return Copied(to, Tree(entries), **more)  # type: ignore[arg-type]  # keywords of Copied
