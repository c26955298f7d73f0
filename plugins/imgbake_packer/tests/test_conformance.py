"""What every plugin is held to, with a builder that makes the same every time: none at all."""

from __future__ import annotations

from typing import ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance


@pytest.mark.usefixtures("packer")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = """
        [targets.nothing]
        uses = "packer"
        builder = { type = "null", communicator = "none" }

        [images.app]
        base = { ami = "scratch" }
        targets = ["nothing"]
    """
    interruptions: ClassVar[int] = 2
