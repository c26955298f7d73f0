"""What is refused while the recipe is read."""

from __future__ import annotations

from typing import Any

import pytest

from imgbake_image_builder import systems
from imgbake_image_builder.options import AmiOptions, ContainerOptions
from imgbake_image_builder.refusals import schedule_problem
from imgbake_image_builder.tables import (
    AmiDistribution,
    Pipeline,
    Placement,
    Scanning,
    ScanResult,
    Schedule,
    Volume,
    Workflow,
)

LOW = ScanResult(maximum_severity_label="LOW")
_GIVEN: dict[str, Any] = {"os": "Amazon Linux 2023", "instance_profile": "baker"}


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"os": "BeOS"}, "os"),
        ({"region": "eu"}, "region"),
        ({"subnet_id": "subnet-1"}, "subnet_id"),
        ({"resource_tags": {"Name": "a"}}, "resource_tags"),
        ({"tags": {"aws:a": "b"}}, "tags"),
        ({"os": "macOS 14"}, "placement"),
        ({"workflows": (Workflow(workflow_arn="arn"),)}, "workflows"),
        ({"ami_name": "käse"}, "ami_name"),
        ({"ami_name": "x" * 120}, "ami_name"),
        ({"distribution": (AmiDistribution(region="eu-west-1"),) * 2}, "distribution"),
        ({"volumes": (Volume(device_name="/dev/sda", volume_type="gp2", throughput=200),)}, "volumes"),
        ({"volumes": (Volume(device_name="/dev/sda", volume_type="io1"),)}, "volumes"),
        ({"pipeline": Pipeline(schedule=Schedule(schedule_expression="daily"))}, "pipeline"),
        ({"user_data": "x" * 17_000}, "user_data"),
        ({"ami_watermarks": ("ab",)}, "ami_watermarks"),
        ({"scanning": Scanning(image_scanning_enabled=False, scan_result_condition=LOW)}, "scanning"),
    ],
)
def test_wrong_options_are_refused(more: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"`{key}`"):
        AmiOptions(**{**_GIVEN, **more})


def test_macos_has_a_host() -> None:
    AmiOptions(**{**_GIVEN, "os": "macOS 14", "placement": Placement(host_id="h-1")})


def test_containers_are_farther_from_the_metadata_service() -> None:
    with pytest.raises(ValueError, match="`http_put_response_hop_limit`"):
        ContainerOptions(**_GIVEN, repository="shop", http_tokens="required")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"dockerfile_template": "FROM a", "dockerfile_template_uri": "s3://a/b"},
            "`dockerfile_template_uri`: there is",
        ),
        ({"dockerfile_template_uri": "https://a/b"}, "is no s3://BUCKET/KEY"),
    ],
)
def test_a_dockerfile_template_is_in_the_recipe_or_in_a_bucket(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContainerOptions(**_GIVEN, repository="shop", **more)


@pytest.mark.parametrize(
    ("expression", "is_right"),
    [
        ("cron(0 0 ? * sun *)", True),
        ("cron(0 0 1 * ?)", True),
        ("rate(1 day)", True),
        ("cron(0 0 * * * *)", False),
        ("cron(0 0 ? * ? *)", False),
        ("cron(0 0)", False),
        ("rate(0 days)", False),
        ("weekly", False),
    ],
)
def test_schedules(expression: str, is_right: bool) -> None:
    assert (schedule_problem(expression) == "") == is_right


@pytest.mark.parametrize(
    ("said", "name", "platform"),
    [
        ("RHEL 9", "Red Hat Enterprise Linux 9", "Linux"),
        ("ubuntu 22.04 LTS", "Ubuntu 22.04", "Linux"),
        ("SLES 15", "SUSE Linux Enterprise Server 15", "Linux"),
        ("macOS 14.x (Sonoma)", "macOS 14", "macOS"),
        ("Mac OS X 12", "macOS 12", "macOS"),
        ("Microsoft Windows Server 2012 R2", "Windows Server 2012 R2", "Windows"),
    ],
)
def test_systems_are_known_by_their_usual_names(said: str, name: str, platform: str) -> None:
    found = systems.find(said)
    assert (found.name, found.platform) == (name, platform)
