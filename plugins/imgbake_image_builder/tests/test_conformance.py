"""The conformance kit on an image that Image Builder bakes."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from imgbake.testing.conformance import PluginConformance
from imgbake_aws.tests.clouds import TRUSTY, Cloud
from imgbake_image_builder.tests.projects import OPTIONS, artifact


@pytest.mark.usefixtures("service")
class TestConformance(PluginConformance):
    recipe: ClassVar[str] = f"""
        [targets.ami]
        uses = "image-builder"
        region = "us-east-1"
        {OPTIONS}
        [components.app]
        env = {{ A = "b" }}
        build = "true"

        [images.app]
        base = {{ ami = "{TRUSTY}" }}
        components = ["app"]
        targets = ["ami"]
    """
    interruptions: ClassVar[int] = 2

    def test_forced_runs_give_the_same_digests(self, tmp_path: Path) -> None:
        """They can't: a forced bake makes another AMI. It makes it of the same resources."""
        project = self.make(tmp_path / "project")
        first, second = artifact(self.run(project)), artifact(self.run(project, "--force"))
        assert first["reference"] != second["reference"]
        assert first["facts"]["image"].removesuffix("/1") == second["facts"]["image"].removesuffix("/2")

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_an_interrupted_build_leaves_nothing_wrong(self, tmp_path: Path, how: signal.Signals) -> None:
        """Stopped or killed at several moments, the next build ends well, and no machine is left."""
        project = self.make(tmp_path / "project")
        for seconds in (0.6, 0.9, 1.2):
            process = project.start("build", "--force", "--progress", "quiet")
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(how)
            process.communicate(timeout=60)
        made = artifact(self.run(project))
        cloud = Cloud("")
        assert made["reference"] in cloud.amis() and cloud.leftovers() == []
