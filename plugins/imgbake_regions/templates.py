"""Launch templates, whose default or latest version names an AMI.

A version can't be changed, so each AMI gets one that is otherwise like the version before. To go back is
to make an older version the default one, where there is one that differs in nothing else.
"""

from __future__ import annotations

from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_aws.sites import Site
from imgbake_regions.options import LaunchTemplate

_ABSENT = ("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException")
_IMAGE = "ImageId"

Version = dict[str, Any]


def current(site: Site, template: LaunchTemplate) -> str:
    """The AMI of the version that counts. Raises BakeError, also when there is no such template."""
    return _ami(_counting(site, template))


def set_to(site: Site, template: LaunchTemplate, ami: str) -> None:
    """Lets the version that counts name an AMI. Raises BakeError."""
    before = _counting(site, template)
    same = [each for each in _all(site, template) if _ami(each) == ami and _rest(each) == _rest(before)]
    if not (same and template.set_default):
        _set_default(site, template, _made(site, template, before, ami))
    else:
        _set_default(site, template, max(each["VersionNumber"] for each in same))


def unset(site: Site, template: LaunchTemplate) -> None:
    """Lets the version that counts name no AMI again. Raises BakeError when no version was like that."""
    before = _counting(site, template)
    same = [each for each in _all(site, template) if not _ami(each) and _rest(each) == _rest(before)]
    if not (same and template.set_default):
        hint = "take back by hand what it is to be"
        raise BakeError(f"no version of the launch template {template} is without an AMI", hint=hint)
    _set_default(site, template, max(each["VersionNumber"] for each in same))


def _counting(site: Site, template: LaunchTemplate) -> Version:
    with sdk.asking(f"ec2:DescribeLaunchTemplateVersions {template} in {site.region}"):
        ec2 = site.client("ec2")
        which = "$Default" if template.set_default else "$Latest"
        try:
            found = ec2.describe_launch_template_versions(**_named(template), Versions=[which])
        except ec2.exceptions.ClientError as error:
            if sdk.code_of(error) not in _ABSENT:
                raise
            message = f"there is no launch template {template} in {site.region}"
            raise BakeError(message, hint="make it first: a version is added to what there is") from None
    version: Version = found["LaunchTemplateVersions"][0]
    return version


def _all(site: Site, template: LaunchTemplate) -> list[Version]:
    with sdk.asking(f"ec2:DescribeLaunchTemplateVersions {template} in {site.region}"):
        pages = site.client("ec2").get_paginator("describe_launch_template_versions")
        return [
            version
            for page in pages.paginate(**_named(template))
            for version in page["LaunchTemplateVersions"]
        ]


def _made(site: Site, template: LaunchTemplate, before: Version, ami: str) -> int:
    with sdk.asking(f"ec2:CreateLaunchTemplateVersion {template} in {site.region}"):
        made = site.client("ec2").create_launch_template_version(
            **_named(template),
            SourceVersion=str(before["VersionNumber"]),
            VersionDescription=ami,
            LaunchTemplateData={_IMAGE: ami},
        )
    return int(made["LaunchTemplateVersion"]["VersionNumber"])


def _set_default(site: Site, template: LaunchTemplate, version: int) -> None:
    if template.set_default:
        with sdk.asking(f"ec2:ModifyLaunchTemplate {template} in {site.region}"):
            site.client("ec2").modify_launch_template(**_named(template), DefaultVersion=str(version))


def _named(template: LaunchTemplate) -> dict[str, str]:
    return {"LaunchTemplateId": template.id} if template.id else {"LaunchTemplateName": template.name}


def _ami(version: Version) -> str:
    return str(version["LaunchTemplateData"].get(_IMAGE, ""))


def _rest(version: Version) -> dict[str, Any]:
    return {key: value for key, value in version["LaunchTemplateData"].items() if key != _IMAGE}
