"""What is left of a bake that was stopped, and what the next one makes of it."""

from __future__ import annotations

import signal
import subprocess

import pytest

from imgbake_image_builder.tests.projects import AMI, Baked, artifact
from imgbake_image_builder.tests.test_baking import HELLO


def _started(project: Baked, state: str = "BUILDING") -> subprocess.Popen[str]:
    """A build whose image is in a state, and won't leave it for long."""
    project.service.builds.pace[state] = 600.0
    project.image(HELLO)
    process = project.start("build", "--progress", "plain")
    assert process.stderr is not None
    assert any(state.lower() in line for line in process.stderr)
    return process


@pytest.mark.parametrize(
    ("number", "state"),
    [(signal.SIGINT, "BUILDING"), (signal.SIGTERM, "TESTING"), (signal.SIGINT, "DISTRIBUTING")],
)
def test_a_stop_cancels_the_image_and_leaves_nothing(
    project: Baked, number: signal.Signals, state: str
) -> None:
    process = _started(project, state)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "CancelImageCreation" in project.asked()
    assert {build.status for build in project.service.builds.all.values()} == {"CANCELLED"}
    assert project.cloud.leftovers() == [] and project.cloud.amis() == {}
    project.service.builds.pace[state] = 0.02
    assert artifact(project.build())["reference"] in project.cloud.amis()


def test_an_image_that_nobody_waits_for_any_more_is_adopted(project: Baked) -> None:
    process = _started(project)
    process.kill()
    process.communicate(timeout=60)
    project.service.builds.pace["BUILDING"] = 0.02
    project.asked()
    made = artifact(project.build())
    assert made["facts"]["image"].endswith("/1.0.0/1") and project.build().outcomes()[AMI] == "cached"
    assert project.asked("Create") == []


def test_a_bake_that_takes_too_long_is_cancelled(project: Baked) -> None:
    project.service.builds.pace["BUILDING"] = 600.0
    project.image(HELLO, keys='timeout = "2s"')
    assert "image:app@ami" in project.fail()
    assert "CancelImageCreation" in project.asked() and project.cloud.leftovers() == []
