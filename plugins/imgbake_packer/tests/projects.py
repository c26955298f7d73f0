"""Projects whose images Packer bakes at moto."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgbake.testing.project import Project, Ran
from imgbake_aws.tests.clouds import UBUNTU, Cloud

_COMPONENT = re.compile(r"^\s*\[components\.([^\].]+)\]", re.MULTILINE)


class Baked(Project):
    """A project with one image, `app`, of components on Ubuntu."""

    def __init__(self, root: Path, cloud: Cloud) -> None:
        super().__init__(root)
        self.cloud = cloud

    def image(self, components: str = "", options: str = 'communicator = "none"', keys: str = "") -> None:
        """Writes a recipe of these tables of components, and the image of all of them."""
        names = json.dumps(_COMPONENT.findall(components))
        self.recipe(
            f'[targets.ami]\nuses = "packer"\nregion = "us-east-1"\n{options}\n{components}\n'
            f'[images.app]\nbase = {{ ami = "{UBUNTU}" }}\ntargets = ["ami"]\ncomponents = {names}\n{keys}\n'
        )

    def fail(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """Builds, which must fail, and not by a bug. Returns what was printed."""
        ran = self.run("build", "--progress", "plain", *args, env=env)
        assert ran.code == 1, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stderr


def outcome(ran: Ran, node: str = "image:app@ami") -> str:
    """How a node of a build ended."""
    return ran.outcomes()[node]


def artifact(ran: Ran, node: str = "image:app@ami") -> Any:
    """What a node of a build made."""
    return next(each["artifact"] for each in ran.json["nodes"] if each["node"] == node)
