"""What is remembered of AMIs that were baked: where they are, whose, of what snapshots, for what machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, digest
from imgbake_aws import sdk

Json = dict[str, Any]


def artifact(regions: Mapping[str, str], first: str, profile: str, facts: Json | None = None) -> Artifact:
    """Baked AMIs, by region, as an artifact; that of the region `first` before the others.

    Its facts are `regions`, `account`, `architecture` and `snapshots` by region, and those given.
    Asks once for each region. Raises BakeError.
    """
    if not regions:
        raise BakeError("baking ended well and made no AMI", hint="with `skip_create_ami` it makes none")
    ordered = {region: regions[region] for region in sorted(regions, key=lambda each: (each != first, each))}
    found = {region: _describe(region, ami, profile) for region, ami in ordered.items()}
    of_first = next(iter(found.values()))
    said = {
        "regions": ordered,
        "account": str(of_first.get("OwnerId", "")),
        "architecture": str(of_first.get("Architecture", "")),
        "snapshots": {region: snapshots(image) for region, image in found.items()},
    }
    made = digest.of_bytes(msgspec.json.encode(dict(regions), order="sorted"))
    return Artifact("ami", made, next(iter(ordered.values())), said | (facts or {}))


def snapshots(image: Json) -> list[str]:
    """The snapshots of an AMI, as EC2 describes it."""
    disks = [mapping.get("Ebs", {}) for mapping in image.get("BlockDeviceMappings", ())]
    return [disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")]


def _describe(region: str, ami: str, profile: str) -> Json:
    with sdk.asking(f"ec2:DescribeImages {ami} in {region}"):
        images = sdk.client("ec2", region, profile).describe_images(ImageIds=[ami])["Images"]
    if not images:
        raise BakeError(f"{ami} was baked in {region}, and EC2 doesn't know it")
    found: Json = images[0]
    return found
