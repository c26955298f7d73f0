"""What machine images start from."""

from __future__ import annotations

import pytest

from imgbake_aws.tests.clouds import OTHER, TRUSTY, UBUNTU
from imgbake_packer.tests.projects import Baked, artifact


def test_the_newest_that_matches_is_locked(project: Baked) -> None:
    project.image()
    assert project.run("lock").code == 0
    assert f'"{UBUNTU}" = "{TRUSTY}"' in project.read("imgbake.lock")
    ran = project.build()
    assert ("terminated", TRUSTY) in project.cloud.instances()
    assert artifact(ran, next(node for node in ran.outcomes() if node.startswith("base:")))["reference"]


def test_a_parameter_that_moves_bakes_again(project: Baked) -> None:
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    project.image()
    project.recipe(project.read("imgbake.toml").replace(UBUNTU, "ssm:/golden"))
    project.build()
    assert set(project.build().outcomes().values()) == {"cached"}
    ssm.put_parameter(Name="/golden", Value=OTHER, Type="String", Overwrite=True)
    assert project.build().outcomes()["image:app@ami"] == "ran"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("ssm:/nothing", "there is no SSM parameter '/nothing' in us-east-1"),
        ("filter:owner=self,name=nothing", "no AMI in us-east-1 matches"),
    ],
)
def test_what_is_not_there_is_said(project: Baked, reference: str, message: str) -> None:
    project.image()
    project.recipe(project.read("imgbake.toml").replace(UBUNTU, reference))
    assert message in project.fail()
