"""The AMIs in an account that imgbake made, known by their tags."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError
from imgbake_aws import outcome, sdk, tags


class Ami(msgspec.Struct, frozen=True):
    """An AMI of ours."""

    id: str
    region: str
    name: str
    project: str
    image: str
    target: str
    created: str  # ISO 8601, UTC
    state: str
    architecture: str
    account: str
    lowered: str = ""
    snapshots: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        made = datetime.datetime.fromisoformat(self.created)
        return (datetime.datetime.now(datetime.UTC) - made).total_seconds()


def amis(regions: Iterable[str], profile: str, project: str) -> Iterator[Ami]:
    """Ours in these regions, the newest first; of one project unless it is empty. Raises BakeError."""
    filters = [{"Name": "tag-key", "Values": [tags.IMAGE]}]
    if project:
        filters.append({"Name": f"tag:{tags.PROJECT}", "Values": [project]})
    for region in regions:
        with sdk.asking(f"ec2:DescribeImages in {region}"):
            pages = sdk.client("ec2", region, profile).get_paginator("describe_images")
            found = [
                _ami(image, region)
                for page in pages.paginate(Owners=["self"], Filters=filters)
                for image in page["Images"]
            ]
        yield from sorted(found, key=lambda ami: (ami.created, ami.id), reverse=True)


def mark(artifact: Artifact, values: Mapping[str, str], profile: str, log: Callable[[str], None]) -> None:
    """Gives these tags to AMIs that were baked without them, and to their snapshots.

    Where that isn't allowed, it is said: they are none the worse.
    """
    for region, ami in artifact.facts["regions"].items():
        ids = [ami, *artifact.facts["snapshots"][region]]
        try:
            with sdk.asking(f"ec2:CreateTags {ami} in {region}"):
                sdk.client("ec2", region, profile).create_tags(Resources=ids, Tags=tags.written(values))
        except BakeError as error:
            log(f"warning: `imgbake ami` will not know {ami}: {error.message}")


def _ami(image: dict[str, Any], region: str) -> Ami:
    said = tags.read(image.get("Tags", ()))
    return Ami(
        image["ImageId"],
        region,
        image.get("Name", ""),
        said.get(tags.PROJECT, ""),
        said.get(tags.IMAGE, ""),
        said.get(tags.TARGET, ""),
        image["CreationDate"],
        image.get("State", ""),
        image.get("Architecture", ""),
        image.get("OwnerId", ""),
        said.get(tags.LOWERED, ""),
        tuple(outcome.snapshots(image)),
    )
