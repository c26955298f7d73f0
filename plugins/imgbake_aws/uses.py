"""Who points to an AMI, so that it must not be removed: in the account, and in this project.

Whoever can't be asked might point to any, so a refusal is an error and never an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from imgbake.api import CommandContext
from imgbake_aws import sdk

_ID = re.compile(r"\bami-[0-9a-f]{8,17}\b")
_ENDED = ("shutting-down", "terminated")
_AT_ONCE = 10  # parameters, which is as many as SSM takes

Uses = dict[str, list[str]]
"""By the AMI's id, what points to it."""


def in_account(region: str, profile: str) -> Uses:
    """What points to AMIs in a region. Raises BakeError."""
    ask: dict[str, Callable[[str, str], Iterator[tuple[str, str]]]] = {
        "ec2:DescribeInstances": _instances,
        "ec2:DescribeLaunchTemplateVersions": _launch_templates,
        "autoscaling:DescribeLaunchConfigurations": _launch_configurations,
        "ssm:DescribeParameters and ssm:GetParameters": _parameters,
    }
    found: Uses = {}
    for what, uses in ask.items():
        with sdk.asking(f"{what} in {region}"):
            for ami, user in uses(region, profile):
                found.setdefault(ami, []).append(user)
    return found


def in_project(ctx: CommandContext) -> Uses:
    """What of a project points to AMIs: what its nodes made or found last, its lock file, and names."""
    found: Uses = {}

    def add(text: str, user: str) -> None:
        for ami in dict.fromkeys(_ids(text)):
            found.setdefault(ami, []).append(user)

    for node, artifact in ctx.artifacts().items():
        add(msgspec.json.encode(artifact).decode(), node)
    for reference, names in ctx.held().items():
        for name in names:
            add(reference, name)
    lock = ctx.root / "imgbake.lock"
    if lock.exists():
        add(lock.read_text(encoding="utf-8"), lock.name)
    return found


def _instances(region: str, profile: str) -> Iterator[tuple[str, str]]:
    for page in sdk.client("ec2", region, profile).get_paginator("describe_instances").paginate():
        for instance in (each for reservation in page["Reservations"] for each in reservation["Instances"]):
            if instance["State"]["Name"] not in _ENDED:
                yield instance["ImageId"], f"instance {instance['InstanceId']}"


def _launch_templates(region: str, profile: str) -> Iterator[tuple[str, str]]:
    """All versions: any of them may be launched, and not only the default one."""
    ec2 = sdk.client("ec2", region, profile)
    for page in ec2.get_paginator("describe_launch_templates").paginate():
        for template in page["LaunchTemplates"]:
            versions = ec2.get_paginator("describe_launch_template_versions")
            for part in versions.paginate(LaunchTemplateId=template["LaunchTemplateId"]):
                for version in part["LaunchTemplateVersions"]:
                    name = f"launch template {template['LaunchTemplateName']}:{version['VersionNumber']}"
                    yield from ((ami, name) for ami in _ids(version["LaunchTemplateData"].get("ImageId")))


def _launch_configurations(region: str, profile: str) -> Iterator[tuple[str, str]]:
    autoscaling = sdk.client("autoscaling", region, profile)
    for page in autoscaling.get_paginator("describe_launch_configurations").paginate():
        for found in page["LaunchConfigurations"]:
            yield found["ImageId"], f"launch configuration {found['LaunchConfigurationName']}"


def _parameters(region: str, profile: str) -> Iterator[tuple[str, str]]:
    """Parameters that hold an AMI's id; none that is encrypted, as AMIs are no secret."""
    ssm = sdk.client("ssm", region, profile)
    filters = [{"Key": "Type", "Values": ["String", "StringList"]}]
    pages = ssm.get_paginator("describe_parameters").paginate(ParameterFilters=filters)
    names = [parameter["Name"] for page in pages for parameter in page["Parameters"]]
    for start in range(0, len(names), _AT_ONCE):
        for parameter in ssm.get_parameters(Names=names[start : start + _AT_ONCE])["Parameters"]:
            yield from ((ami, f"parameter {parameter['Name']}") for ami in _ids(parameter["Value"]))


def _ids(text: str | None) -> list[str]:
    return _ID.findall(text or "")
