"""The tags by which our AMIs, and what is made while they are baked, are known in an account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from imgbake.api import digest

PROJECT = "imgbake:project"
IMAGE = "imgbake:image"
TARGET = "imgbake:target"
LOWERED = "imgbake:lowered"  # the digest of what the target was told
BAKE = "imgbake:bake"  # of one bake, and of nothing else
COPY = "imgbake:copy"  # what an AMI was distributed as: which AMI, under which name, with which key
SOURCE = "imgbake:source"  # the AMI that it is a copy of
REMOVED = "imgbake:removed"  # the AMI that a snapshot was of, and that it was to be removed with
SHARED = "imgbake:shared"  # others were once allowed to launch it

Pairs = list[dict[str, str]]


def ours(project: str, image: str, target: str, told: str) -> dict[str, str]:
    """Those of an AMI, by which it is known as ours; `told` is the digest of what the target was told."""
    return {PROJECT: project, IMAGE: image, TARGET: target, LOWERED: told}


def lowered(documents: Mapping[str, str]) -> str:
    """What tells one content of an image from another, short enough to be read."""
    return digest.of_bytes(msgspec.json.encode(dict(documents), order="sorted")).removeprefix("sha256:")[:16]


def read(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags, as EC2 writes them, by their key."""
    return {pair["Key"]: pair["Value"] for pair in pairs}


def written(values: Mapping[str, str]) -> Pairs:
    """Tags as EC2 reads them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]
