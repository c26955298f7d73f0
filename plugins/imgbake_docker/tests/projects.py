"""Projects whose images the engine bakes, under names of their own."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgbake.testing.project import Project, Ran

Put = Callable[[Path, str, str], str]
"""Puts a layout into a registry as a repository and a tag, and returns its reference there."""

_COMPONENT = re.compile(r"^\s*\[components\.([^\].]+)\]", re.MULTILINE)


class OnEngine(Project):
    """A project with one image, `app`, of components on busybox, for the target `docker`."""

    def __init__(self, root: Path, base: Path, client: Any, options: str) -> None:
        super().__init__(root)
        self.base, self.client = base, client
        self.name = f"imgbake-test-{secrets.token_hex(4)}"
        self.options = options

    def image(self, components: str, keys: str = "", targets: str = '["docker"]') -> None:
        """Writes a recipe of these tables of components, and the image of all of them."""
        names = json.dumps(_COMPONENT.findall(components))
        self.recipe(
            f'[targets.docker]\nuses = "docker"\ntags = ["{self.name}:1"]\n{self.options}\n'
            f'[targets.oci]\nuses = "oci"\n'
            f'{components}\n[images.app]\nbase = "oci:{self.base}"\ntargets = {targets}\n'
            f"components = {names}\n{keys}\n"
        )

    def bake(self, components: str, keys: str = "", *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Writes the recipe and builds the image, which must succeed."""
        self.image(components, keys)
        return self.build(*args, env=env)

    def fail(self, components: str, keys: str = "", *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Writes the recipe and builds the image, which must fail, and not by a bug."""
        self.image(components, keys)
        ran = self.run("build", "--progress", "plain", *args, env=env)
        assert ran.code == 1, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def baked(self) -> dict[str, Any]:
        """What the engine says of the image."""
        found: dict[str, Any] = self.client.inspect_image(f"{self.name}:1")
        return found

    def clear(self) -> None:
        """Removes the image from the engine."""
        from docker.errors import APIError

        with contextlib.suppress(APIError):
            self.client.remove_image(f"{self.name}:1", force=True)


def outcome(ran: Ran, node: str = "image:app@docker") -> str:
    """How a node of a build ended."""
    return ran.outcomes()[node]
