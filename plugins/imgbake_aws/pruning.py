"""Which of our AMIs nobody needs any more, and removing them with their snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from imgbake.api import Artifact, CommandContext
from imgbake_aws import outcome, owned, sdk, tags, uses
from imgbake_aws.owned import Ami


def regions(artifacts: Mapping[str, Artifact], given: Sequence[str], profile: str) -> tuple[str, ...]:
    """Where to look: where one is told, else where this project's AMIs are and AWS's configuration says."""
    if given:
        return tuple(dict.fromkeys(given))
    found = {region for each in artifacts.values() for region in each.facts.get("regions", {})}
    return tuple(sorted(found)) or (str(sdk.client("ec2", profile=profile).meta.region_name),)


def listed(ctx: CommandContext, wanted: Sequence[str], profile: str, project: str) -> list[Ami]:
    """Our AMIs with all that points to them. Raises BakeError."""
    here = uses.in_project(ctx)
    found: list[Ami] = []
    for region in regions(ctx.artifacts(), wanted, profile):
        amis = list(owned.amis((region,), profile, project))
        there = uses.in_account(region, profile) if amis else {}
        found += [
            msgspec.structs.replace(ami, used_by=tuple(here.get(ami.id, []) + there.get(ami.id, [])))
            for ami in amis
        ]
    return found


def unneeded(amis: Iterable[Ami], keep: int, older_than: float) -> list[Ami]:
    """Those that nothing points to, are old enough, and not among the newest of their image.

    `keep` counts the AMIs of an image and target in one region, used ones included; the newest first.
    """
    seen: dict[tuple[str, str, str, str], int] = {}
    found = []
    for ami in amis:
        of = ami.region, ami.project, ami.image, ami.target
        seen[of] = seen.get(of, 0) + 1
        if seen[of] > keep and ami.age >= older_than and not ami.used_by:
            found.append(ami)
    return found


def remove(ami: Ami, profile: str) -> list[str]:
    """Removes an AMI, and its snapshots unless another AMI needs them. Returns those. Raises BakeError.

    Without their AMI nobody knows whose they are, so they are marked first: what a killed run leaves of
    them is `left`.
    """
    ec2 = sdk.client("ec2", ami.region, profile)
    if ami.snapshots:
        with sdk.asking(f"ec2:CreateTags {', '.join(ami.snapshots)} in {ami.region}"):
            marks = tags.written({tags.PROJECT: ami.project, tags.REMOVED: ami.id})
            ec2.create_tags(Resources=list(ami.snapshots), Tags=marks)
    with sdk.asking(f"ec2:DeregisterImage {ami.id} in {ami.region}"):
        ec2.deregister_image(ImageId=ami.id)
    return [snapshot for snapshot in ami.snapshots if remove_snapshot(snapshot, ami.region, profile)]


def left(regions: Iterable[str], profile: str, project: str) -> list[tuple[str, str]]:
    """Snapshots, with their region, that a killed run was to remove and no AMI needs. Raises BakeError."""
    filters = [{"Name": "tag-key", "Values": [tags.REMOVED]}]
    if project:
        filters.append({"Name": f"tag:{tags.PROJECT}", "Values": [project]})
    found: list[tuple[str, str]] = []
    for region in regions:
        ec2 = sdk.client("ec2", region, profile)
        with sdk.asking(f"ec2:DescribeSnapshots in {region}"):
            pages = ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
            marked = {each["SnapshotId"] for page in pages for each in page["Snapshots"]}
        with sdk.asking(f"ec2:DescribeImages in {region}"):
            pages = ec2.get_paginator("describe_images").paginate(Owners=["self"]) if marked else ()
            needed = {each for page in pages for image in page["Images"] for each in outcome.snapshots(image)}
        found += [(each, region) for each in sorted(marked - needed)]
    return found


def remove_snapshot(snapshot: str, region: str, profile: str) -> bool:
    """Removes a snapshot; False if an AMI needs it, or somebody else did. Raises BakeError."""
    ec2 = sdk.client("ec2", region, profile)
    with sdk.asking(f"ec2:DeleteSnapshot {snapshot} in {region}"):
        try:
            ec2.delete_snapshot(SnapshotId=snapshot)
        except ec2.exceptions.ClientError as error:
            if sdk.code_of(error) not in ("InvalidSnapshot.InUse", "InvalidSnapshot.NotFound"):
                raise
            return False
    return True
