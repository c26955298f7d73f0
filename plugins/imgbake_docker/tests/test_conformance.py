"""What every plugin is held to."""

from __future__ import annotations

from typing import ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance


@pytest.mark.usefixtures("engine")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = """
        [targets.engine]
        uses = "docker"
        builder = "classic"
        tags = ["imgbake-test-conformance:1"]

        [components.app]
        files = [{ from = "app.txt", to = "/srv/app.txt" }]

        [images.app]
        base = "scratch"
        components = ["app"]
        targets = ["engine"]
        labels = { a = "b" }
    """
    files: ClassVar[dict[str, str]] = {"app.txt": "hello"}
    interruptions: ClassVar[int] = 3
