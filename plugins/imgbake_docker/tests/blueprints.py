"""Blueprints for tests."""

from __future__ import annotations

from imgbake.api import Artifact, Blueprint, Copied, Entry, ImageConfig, Layer, Tree

DIGEST = "sha256:" + "ab" * 32
PYTHON = Artifact("container", DIGEST, "python:3.12-slim")
_NO_CONFIG = ImageConfig()


def blueprint(*layers: Layer, config: ImageConfig = _NO_CONFIG, base: Artifact = PYTHON) -> Blueprint:
    """A blueprint of an image `shop` for a target `container`."""
    return Blueprint("shop", "container", base, layers, config, 0)


def copied(to: str, *paths: str, **more: object) -> Copied:
    """A copy of files of one byte."""
    entries = tuple(Entry(path, "file", 0o644, "sha256:" + "0" * 64, 1, f"src/{path}") for path in paths)
    return Copied(to, Tree(entries), **more)  # type: ignore[arg-type]  # keywords of Copied
