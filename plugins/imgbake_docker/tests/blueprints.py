"""Blueprints of containers, for tests."""

from __future__ import annotations

import functools

from imgbake.api import Artifact
from imgbake.testing import blueprints

DIGEST = "sha256:" + "ab" * 32
PYTHON = Artifact("container", DIGEST, "python:3.12-slim")

blueprint = functools.partial(blueprints.blueprint, base=PYTHON, target="container")
