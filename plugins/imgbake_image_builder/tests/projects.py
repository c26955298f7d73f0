"""Projects whose images Image Builder bakes, in an emulator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imgbake.testing.project import Project, Ran
from imgbake_aws.tests.clouds import TRUSTY, UBUNTU, Cloud
from tests.services.image_builder import ImageBuilder

_COMPONENT = re.compile(r"^\s*\[components\.([^\].]+)\]", re.MULTILINE)
AMI, CONTAINER = "image:app@ami", "image:app@container"
OPTIONS = 'os = "Ubuntu 22.04"\ninstance_profile = "baker"\n'


class Baked(Project):
    """A project with one image, `app`, of components on Ubuntu."""

    def __init__(self, root: Path, cloud: Cloud, service: ImageBuilder) -> None:
        super().__init__(root)
        self.cloud, self.service = cloud, service

    def image(self, components: str = "", options: str = "", keys: str = "") -> None:
        """Writes a recipe of these tables of components, and the image of all of them."""
        names = json.dumps(_COMPONENT.findall(components))
        self.recipe(
            f'[targets.ami]\nuses = "image-builder"\nregion = "us-east-1"\n{OPTIONS}{options}\n{components}\n'
            f'[images.app]\nbase = {{ ami = "{UBUNTU}" }}\ntargets = ["ami"]\ncomponents = {names}\n{keys}\n'
        )

    def container(self, base: str, components: str = "", options: str = "", keys: str = "") -> None:
        """The same for containers, on a base in a registry."""
        names = json.dumps(_COMPONENT.findall(components))
        self.recipe(
            '[targets.container]\nuses = "image-builder-container"\nregion = "us-east-1"\n'
            f'repository = "shop"\ninstance_image = "{TRUSTY}"\n{OPTIONS}{options}\n{components}\n'
            f'[images.app]\nbase = "{base}"\ntargets = ["container"]\n'
            f"components = {names}\n{keys}\n"
        )

    def fail(self, *args: str, code: int = 1, env: Mapping[str, str] | None = None) -> str:
        """Builds, which must fail, and not by a bug. Returns what was printed."""
        ran = self.run("build", "--progress", "plain", *args, env=env)
        assert ran.code == code, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stderr

    def asked(self, beginning: str = "") -> list[str]:
        """The operations that Image Builder was asked for since the last time, that begin so."""
        found = [seen.operation for seen in self.service.requests if seen.operation.startswith(beginning)]
        self.service.requests.clear()
        return found

    def requests(self, operation: str) -> Iterator[dict[str, Any]]:
        """What requests of an operation said that were taken."""
        for seen in self.service.requests:
            if seen.operation == operation and not seen.error:
                yield seen.params


def artifact(ran: Ran, node: str = AMI) -> Any:
    """What a node of a build made."""
    return next(each["artifact"] for each in ran.json["nodes"] if each["node"] == node)
