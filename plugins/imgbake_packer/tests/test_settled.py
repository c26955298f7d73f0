"""Builds of AMIs that left nothing to do: the next one asks once for each region, and reads no recipe."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imgbake.testing.project import Ran
from imgbake_aws import sdk
from imgbake_aws.tests.clouds import TRUSTY, UBUNTU
from imgbake_packer.tests.projects import Baked, artifact

REGIONS = ["us-east-1", "eu-west-1", "eu-central-1"]
ONE_QUESTION_EACH = sorted(f"ec2:DescribeImages {region}" for region in REGIONS)
OPTIONS = 'communicator = "none"\nami_regions = ["eu-west-1", "eu-central-1"]'
SECOND = f'[images.second]\nbase = {{ ami = "{TRUSTY}" }}\ntargets = ["ami"]\n'


@pytest.fixture
def settled(project: Baked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Baked:
    """A project of two images in three regions, whose builds have left nothing to do."""
    (tmp_path / "config").write_text("[profile other]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    project.image(options=OPTIONS, keys=SECOND)
    project.recipe(project.read("imgbake.toml").replace(UBUNTU, TRUSTY))
    for _ in range(2):
        project.build()
    assert is_settled(build(project))
    return project


def build(project: Baked, **env: str) -> Ran:
    return project.run("build", env=env)


def is_settled(ran: Ran) -> bool:
    return ran.code == 0 and "nothing to do: " in ran.stderr


def test_a_settled_build_asks_once_for_each_region(settled: Baked) -> None:
    with settled.cloud.asked() as asked:
        assert is_settled(build(settled))
    assert sorted(asked) == ONE_QUESTION_EACH


def test_a_build_that_judges_all_asks_once_for_each_region(settled: Baked) -> None:
    settled.recipe(settled.read("imgbake.toml") + "\n# a comment")
    with settled.cloud.asked() as asked:
        assert set(settled.build().outcomes().values()) == {"cached"}
    assert sorted(asked) == ONE_QUESTION_EACH


def test_an_ami_that_was_deregistered_is_baked_again(settled: Baked) -> None:
    lost = artifact(settled.build())["facts"]["regions"]["eu-central-1"]
    settled.cloud.client("ec2", "eu-central-1").deregister_image(ImageId=lost)
    ran = settled.build()
    assert ran.outcomes()["image:app@ami"] == "ran" and ran.outcomes()["image:second@ami"] == "cached"
    assert artifact(ran)["facts"]["regions"]["eu-central-1"] != lost
    settled.build()
    assert is_settled(build(settled))


@pytest.mark.parametrize(
    "env",
    [
        {"AWS_REGION": "eu-west-1"},
        {"AWS_PROFILE": "other"},
        {"AWS_ENDPOINT_URL_EC2": "another"},
    ],
)
def test_another_world_is_looked_at_anew(settled: Baked, moto: str, env: dict[str, str]) -> None:
    env = {name: value.replace("another", f"{moto}/") for name, value in env.items()}
    first = build(settled, **env)
    assert first.code == 0 and not is_settled(first)
    assert is_settled(build(settled, **env))


def test_a_configuration_that_was_written_is_looked_at_anew(settled: Baked, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    assert not is_settled(build(settled))
    assert is_settled(build(settled))


def test_without_aws_the_whole_build_says_what_is_wrong(
    settled: Baked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "_TRIES", 1)
    settled.fail(env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    ran = build(settled, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ran.code == 1 and "AWS can't be reached" in ran.stderr and "Traceback" not in ran.stderr
    nobody = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    said = build(settled, **nobody, AWS_EC2_METADATA_DISABLED="true")
    assert said.code == 1 and "there are no credentials for AWS" in said.stderr


def test_a_build_is_settled_with_a_base_that_is_locked_and_with_no_other(project: Baked) -> None:
    project.image()
    for _ in range(3):
        ran = build(project)
    assert ran.code == 0 and not is_settled(ran)
    project.run("lock")
    time.sleep(0.1)  # what is younger than a tick of the file system's clock proves nothing
    for _ in range(2):
        ran = build(project)
    assert is_settled(ran)
