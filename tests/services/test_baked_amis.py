"""An AMI from its recipe to regions: baked by Image Builder, copied and named by `ami-region`."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake.testing.shop import results
from imgbake_aws.tests.clouds import UBUNTU
from imgbake_image_builder import service as services
from imgbake_regions.tests.conftest import account as account
from imgbake_regions.tests.conftest import amazon as amazon
from imgbake_regions.tests.projects import HOME, Account
from tests.services.image_builder import ImageBuilder

QUICK = dict.fromkeys(("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING"), 0.02)
EU, AU = "eu-west-1", "ap-southeast-2"
RECIPE = f"""
[project]
name = "shop"

[components.app]
build = "echo hello"

[images.golden]
base = {{ ami = "{UBUNTU}" }}
components = ["app"]
targets = ["company"]
labels = {{ Team = "platform" }}

[targets.company]
uses = "image-builder"
region = "{HOME}"
os = "Ubuntu 22.04"
instance_profile = "baker"
distribution = [{{ region = "{HOME}" }}, {{ region = "{AU}" }}]

[destinations.us]
uses = "ami-region"
region = "{HOME}"
ssm_parameter = "/golden/ami"

[destinations.eu]
uses = "ami-region"
region = "{EU}"
ssm_parameter = "/golden/ami"
accounts = ["111122223333"]

[destinations.au]
uses = "ami-region"
region = "{AU}"
ssm_parameter = "/golden/ami"

[distributions.prod]
images = ["golden"]
to = ["us", "eu", "au"]
"""


def test_image_builder_bakes_it_and_regions_get_it(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is copied where Image Builder has not brought it already, and is one image everywhere."""
    monkeypatch.setattr(services, "_services", {})
    project = Project(tmp_path)
    project.recipe(RECIPE)
    with ImageBuilder(pace=QUICK, cloud=account.cloud.url) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IMAGEBUILDER", service.url)
        ran = project.run("distribute", "--format", "json", "--progress", "plain")
        assert ran.code == 0, ran.stderr
        assert results(ran) == ["published"] * 3
        baked = account.only(HOME)["ImageId"]
        for region in (HOME, EU, AU):
            assert account.parameter(region, "/golden/ami") == account.only(region)["ImageId"]
        assert account.tags(EU)["imgbake:source"] == baked and account.tags(EU)["Team"] == "platform"
        assert account.may_launch(EU, account.only(EU)["ImageId"]) == ["111122223333"]
        assert account.cloud.count(f"ec2:CopyImage {EU}") == 1
        service.requests.clear()
        assert results(project.run("distribute", "--format", "json")) == ["there"] * 3
        assert not service.requests
        assert project.run("distribute", "--rollback").code == 0
        assert [account.parameter(region, "/golden/ami") for region in (HOME, EU, AU)] == [""] * 3
