"""What an AMI is set to once it is there: tags, description, deprecation, fast launch."""

from __future__ import annotations

import datetime
from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk, tags
from imgbake_regions.options import FastLaunch, Options
from imgbake_regions.waiting import Image

_READY = ("enabling", "enabled")


def is_set(image: Image, wanted: dict[str, str], options: Options) -> bool:
    """Is it set as it should be? Reads only."""
    return (
        not _tags_missing(image, wanted)
        and options.description in ("", image.get("Description", ""))
        and not _is_deprecated_otherwise(image, options)
        and not (options.fast_launch and not _starts_fast(image, options.fast_launch, options))
    )


def refuse_unfit(image: Image, options: Options) -> None:
    """Raises BakeError for what this AMI can't be set to."""
    if options.fast_launch and image.get("Platform", "").lower() != "windows":
        message = f"{image['ImageId']} can't have `fast_launch`, which is for Windows"
        raise BakeError(message, hint="leave it out")


def apply(image: Image, wanted: dict[str, str], options: Options) -> None:
    """Sets what isn't set yet. Raises BakeError."""
    site, ami = options.site, image["ImageId"]
    ec2 = site.client("ec2")
    where = f"{ami} in {site.region}"
    if missing := _tags_missing(image, wanted):
        with sdk.asking(f"ec2:CreateTags {where}"):
            ec2.create_tags(Resources=[ami], Tags=tags.written(missing))
    if options.description not in ("", image.get("Description", "")):
        with sdk.asking(f"ec2:ModifyImageAttribute {where}"):
            ec2.modify_image_attribute(ImageId=ami, Description={"Value": options.description})
    if _is_deprecated_otherwise(image, options):
        with sdk.asking(f"ec2:EnableImageDeprecation {where}"):
            ec2.enable_image_deprecation(ImageId=ami, DeprecateAt=_end(image, options))
    if options.fast_launch and not _starts_fast(image, options.fast_launch, options):
        with sdk.asking(f"ec2:EnableFastLaunch {where}"):
            ec2.enable_fast_launch(**_fast_launch(ami, options.fast_launch))


def _tags_missing(image: Image, wanted: dict[str, str]) -> dict[str, str]:
    there = tags.read(image.get("Tags", ()))
    return {key: value for key, value in wanted.items() if there.get(key) != value}


def _is_deprecated_otherwise(image: Image, options: Options) -> bool:
    end, now = _end(image, options), image.get("DeprecationTime")
    return end is not None and (not now or datetime.datetime.fromisoformat(now) != end)


def _end(image: Image, options: Options) -> datetime.datetime | None:
    """When it is to be deprecated, to the minute, as EC2 has it; None for never."""
    made = datetime.datetime.fromisoformat(image["CreationDate"])
    lifetime = options.lifetime
    end = options.last_day if lifetime is None else made + datetime.timedelta(seconds=lifetime)
    return end.replace(second=0, microsecond=0) if end else None


def _starts_fast(image: Image, wanted: FastLaunch, options: Options) -> bool:
    ami = image["ImageId"]
    with sdk.asking(f"ec2:DescribeFastLaunchImages {ami} in {options.region}"):
        found = options.site.client("ec2").describe_fast_launch_images(ImageIds=[ami])["FastLaunchImages"]
    ready = [each for each in found if each["State"] in _READY]
    asked = _fast_launch(ami, wanted)
    asked.pop("LaunchTemplate", None)  # EC2 answers with its id and number, however it was named
    return any(all(each.get(key) == value for key, value in asked.items()) for each in ready)


def _fast_launch(ami: str, wanted: FastLaunch) -> dict[str, Any]:
    template = wanted.launch_template
    key = "LaunchTemplateId" if template.startswith("lt-") else "LaunchTemplateName"
    said = {key: template, "Version": wanted.launch_template_version} if template else {}
    return {
        "ImageId": ami,
        "ResourceType": "snapshot",
        "SnapshotConfiguration": {"TargetResourceCount": wanted.snapshots},
        "MaxParallelLaunches": wanted.max_parallel_launches,
        **({"LaunchTemplate": said} if said else {}),
    }
