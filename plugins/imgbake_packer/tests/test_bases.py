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


def test_a_table_says_which_ami_and_the_lock_keeps_it(project: Baked) -> None:
    project.image()
    said = (
        'owner = "099720109477", name = "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-*", region = "us-east-1"'
    )
    project.recipe(project.read("imgbake.toml").replace(f'"{UBUNTU}"', f"{{ {said} }}"))
    assert project.run("lock").code == 0
    assert f'"{UBUNTU}" = "{TRUSTY}"' in project.read("imgbake.lock")
    project.build()
    assert ("terminated", TRUSTY) in project.cloud.instances()


def test_a_lock_stays_until_it_is_upgraded(project: Baked) -> None:
    ssm = project.cloud.client("ssm")
    ssm.put_parameter(Name="/golden", Value=TRUSTY, Type="String")
    project.image()
    project.recipe(project.read("imgbake.toml").replace(f'"{UBUNTU}"', '{ ssm = "/golden" }'))
    project.run("lock")
    project.build()
    ssm.put_parameter(Name="/golden", Value=OTHER, Type="String", Overwrite=True)
    assert project.build().outcomes()["image:app@ami"] == "cached"
    assert project.run("lock", "--upgrade", "ssm:/golden").code == 0
    assert project.build().outcomes()["image:app@ami"] == "ran"


def test_what_stands_on_another_image_is_baked_again_when_that_is_another_one(project: Baked) -> None:
    child = '[images.child]\nbase = { ami = "image:app" }\ntargets = ["ami"]\n'
    project.image(keys=child)
    parent = artifact(project.build())["reference"]
    assert ("terminated", parent) in project.cloud.instances()
    assert set(project.build().outcomes().values()) == {"cached"}
    project.image(keys=child, options='communicator = "none"\ninstance_type = "c5.large"')
    assert set(project.build().outcomes().values()) == {"cached"}
    project.cloud.client("ec2").deregister_image(ImageId=parent)
    ran = project.build().outcomes()
    assert ran["image:app@ami"] == ran["image:child@ami"] == "ran"
