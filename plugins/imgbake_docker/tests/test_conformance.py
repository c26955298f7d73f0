"""What every plugin is held to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance


@pytest.fixture(scope="module")
def cleared(engine: Any) -> Iterator[None]:
    """Removes what was baked."""
    from docker.errors import APIError

    yield
    with contextlib.suppress(APIError):
        engine.remove_image("imgbake-test-conformance:1", force=True)


@pytest.mark.usefixtures("cleared")
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
