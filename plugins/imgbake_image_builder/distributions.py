"""CreateDistributionConfiguration: where images go, and what else they get there. Pure."""

from __future__ import annotations

import re
from typing import Any

from imgbake.api import Blueprint
from imgbake_image_builder import recipes
from imgbake_image_builder.options import AmiOptions, ContainerOptions, Options
from imgbake_image_builder.refusals import ami_name
from imgbake_image_builder.tables import AmiDistribution, ContainerDistribution
from imgbake_image_builder.words import camel, in_words, is_said

_NOT_IN_AMI_NAMES = re.compile(r"[^-_A-Za-z0-9:.]+")


def listed(blueprint: Blueprint, options: Options) -> list[dict[str, Any]]:
    """A distribution for each region; without any, of the region where it is baked."""
    if isinstance(options, ContainerOptions):
        return _container_distributions(blueprint, options)
    there = recipes.region(blueprint, options)
    regions = options.distribution or (AmiDistribution(region=there),)
    return [_ami_distribution(each, blueprint, options) for each in regions]


def _ami_distribution(said: AmiDistribution, blueprint: Blueprint, options: AmiOptions) -> dict[str, Any]:
    default = options.ami_name or _NOT_IN_AMI_NAMES.sub("-", f"{blueprint.image}-{blueprint.target}")[:90]
    ami: dict[str, Any] = {"name": ami_name(said.name or default)}
    if description := said.description or options.description:
        ami["description"] = description
    tags = {**blueprint.config.labels, **options.ami_tags, **said.ami_tags}
    for name, value in (
        ("targetAccountIds", said.target_account_ids),
        ("amiTags", tags),
        ("kmsKeyId", said.kms_key_id),
        ("launchPermission", said.launch_permission),
    ):
        if is_said(value):
            ami[name] = in_words(value)
    found: dict[str, Any] = {"region": said.region, "amiDistributionConfiguration": ami}
    own = (
        "region",
        "name",
        "description",
        "target_account_ids",
        "ami_tags",
        "kms_key_id",
        "launch_permission",
    )
    for name in said.__struct_fields__:
        if name not in own and is_said(value := getattr(said, name)):
            found[camel(name)] = in_words(value)
    return found


def _container_distributions(blueprint: Blueprint, options: ContainerOptions) -> list[dict[str, Any]]:
    listed = options.distribution or (ContainerDistribution(region=recipes.region(blueprint, options)),)
    found = []
    for each in listed:
        name = each.repository or options.repository
        container: dict[str, Any] = {"targetRepository": {"service": "ECR", "repositoryName": name}}
        if each.description or options.description:
            container["description"] = each.description or options.description
        if tags := each.container_tags or options.container_tags:
            container["containerTags"] = list(tags)
        found.append({"region": each.region, "containerDistributionConfiguration": container})
    return found
