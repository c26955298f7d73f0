"""Blueprints of machine images, for tests."""

from __future__ import annotations

import functools

from imgbake.api import Artifact
from imgbake.testing import blueprints

ID = "ami-0123456789abcdef0"
DEBIAN = Artifact(
    "ami",
    ID,
    "filter:owner=136693071363,name=debian-12-*",
    {"regions": {"eu-west-1": ID}, "architecture": "arm64"},
)

blueprint = functools.partial(blueprints.blueprint, base=DEBIAN, target="machine")
