"""Blueprints for tests."""

from __future__ import annotations

from imgbake.api import Artifact, Blueprint, Copied, Entry, ImageConfig, Layer, Tree

ID = "ami-0123456789abcdef0"
DEBIAN = Artifact(
    "ami",
    ID,
    "filter:owner=136693071363,name=debian-12-*",
    {"regions": {"eu-west-1": ID}, "architecture": "arm64"},
)
_NO_CONFIG = ImageConfig()


def blueprint(*layers: Layer, config: ImageConfig = _NO_CONFIG, base: Artifact = DEBIAN) -> Blueprint:
    """A blueprint of an image `shop` for a target `machine`."""
    return Blueprint("shop", "machine", base, layers, config, 0)


def copied(to: str, *paths: str, **more: object) -> Copied:
    """A copy of files of one byte."""
    entries = tuple(Entry(path, "file", 0o644, "sha256:" + "0" * 64, 1, f"src/{path}") for path in paths)
    return Copied(to, Tree(entries), **more)  # type: ignore[arg-type]  # keywords of Copied
