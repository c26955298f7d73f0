"""Copies of AMIs: known in a region by a tag, found again, and made once.

The tag, and the token by which EC2 knows that a request is the same one, follow from what the copy is of,
its name and its key. EC2 remembers tokens of copies that are gone, too: each of those makes another token.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from imgbake.api import BakeError, RunContext, digest
from imgbake_aws import outcome, sdk, tags
from imgbake_aws.sites import Site
from imgbake_regions import settings
from imgbake_regions.options import Options
from imgbake_regions.waiting import AVAILABLE, PENDING, Image, Waiting, pause

_CROWDED = (
    "ResourceLimitExceeded",
    "SnapshotCreationPerVolumeRateExceeded",
    "ConcurrentSnapshotLimitExceeded",
)
_ITS_OWN = (tags.BAKE, tags.COPY, tags.SOURCE, tags.SHARED)  # tags that no copy takes along
_LONGEST_PAUSE = 60.0  # seconds, while too many copies are under way


class Wanted(msgspec.Struct, frozen=True):
    """A copy that is to be there."""

    source: str  # the AMI that it is of
    home: Site  # where that is
    site: Site  # where it is to be
    name: str = ""  # that of the source, if empty
    is_encrypted: bool = False
    kms_key_id: str = ""

    @property
    def key(self) -> str:
        """What tells it from other copies."""
        said = [self.source, self.name, self.is_encrypted, self.kms_key_id]
        return digest.of_bytes(msgspec.json.encode(said)).removeprefix("sha256:")[:32]


class Survey:
    """What a run was told of the copies in each place, in one answer for all images."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Site, threading.Lock] = {}
        self._found: dict[Site, dict[str, list[Image]]] = {}

    def of(self, wanted: Wanted) -> list[Image]:
        """The AMIs there that carry the tag of this copy, whatever their state. Raises BakeError."""
        with self._guard:
            lock = self._locks.setdefault(wanted.site, threading.Lock())
        with lock:
            if wanted.site not in self._found:
                self._found[wanted.site] = _by_key(_tagged(wanted.site))
            return self._found[wanted.site].get(wanted.key, [])


def there(wanted: Wanted, survey: Survey) -> Image | None:
    """The copy, if it can be used. Reads only."""
    return next((each for each in survey.of(wanted) if each["State"] == AVAILABLE), None)


def brought(wanted: Wanted, named: dict[str, str], options: Options, ctx: RunContext) -> Image:
    """The copy, made if it isn't there, once it can be used. Raises BakeError."""
    known = _tagged(wanted.site, wanted.key)
    by_state = {state: [each for each in known if each["State"] == state] for state in (AVAILABLE, PENDING)}
    if by_state[AVAILABLE]:
        return by_state[AVAILABLE][0]
    if by_state[PENDING]:
        ami = str(by_state[PENDING][0]["ImageId"])
        ctx.log(f"{ami} is being copied already")
        return _finished(wanted, ami, ctx)
    source = _source(wanted)
    settings.refuse_unfit(source, options)
    if _serves(source, wanted):
        return source
    dead = [_removed(wanted.site, each, ctx) for each in known]
    return _copied(_Order(wanted, source, named, options.description, ctx), dead)


def _by_key(images: Sequence[Image]) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = {}
    for image in images:
        found.setdefault(tags.read(image["Tags"])[tags.COPY], []).append(image)
    return found


def _tagged(site: Site, key: str = "") -> list[Image]:
    """Our AMIs there with the tag of this copy, or of any."""
    condition = {"Name": f"tag:{tags.COPY}", "Values": [key]}
    condition = condition if key else {"Name": "tag-key", "Values": [tags.COPY]}
    with sdk.asking(f"ec2:DescribeImages in {site.region}"):
        pages = site.client("ec2").get_paginator("describe_images")
        return [
            image for page in pages.paginate(Owners=["self"], Filters=[condition]) for image in page["Images"]
        ]


def _source(wanted: Wanted) -> Image:
    """The AMI that is copied, as it is where it was baked."""
    filters = [{"Name": "image-id", "Values": [wanted.source]}]
    with sdk.asking(f"ec2:DescribeImages {wanted.source} in {wanted.home.region}"):
        images = wanted.home.client("ec2").describe_images(Filters=filters)["Images"]
    if not images or images[0]["State"] != AVAILABLE:
        hint = "`imgbake build` bakes it again"
        raise BakeError(f"{wanted.source} in {wanted.home.region} is not available", hint=hint)
    found: Image = images[0]
    return found


def _serves(source: Image, wanted: Wanted) -> bool:
    """Is what is wanted there already, without a copy?"""
    if wanted.home.region != wanted.site.region or wanted.kms_key_id:
        return False
    if wanted.name not in ("", source.get("Name")):
        return False
    disks = [mapping["Ebs"] for mapping in source.get("BlockDeviceMappings", ()) if "Ebs" in mapping]
    if wanted.is_encrypted and not all(disk.get("Encrypted") for disk in disks):
        return False
    return not wanted.site.role.arn or wanted.site.account() == source.get("OwnerId")


class _Order(msgspec.Struct, frozen=True):
    """All that a copy is made of."""

    wanted: Wanted
    source: Image
    tags: dict[str, str]
    description: str
    ctx: RunContext

    def request(self, token: str) -> dict[str, Any]:
        """What EC2 is asked for."""
        wanted, source = self.wanted, self.source
        specifications = [
            {"ResourceType": kind, "Tags": tags.written({**_tags_of(source), **self.tags})}
            for kind in ("image", "snapshot")
        ]
        encryption: dict[str, Any] = {"Encrypted": True} if wanted.is_encrypted or wanted.kms_key_id else {}
        if wanted.kms_key_id:
            encryption["KmsKeyId"] = wanted.kms_key_id
        description = self.description or source.get("Description", "")
        return {
            "SourceImageId": wanted.source,
            "SourceRegion": wanted.home.region,
            "Name": wanted.name or source["Name"],
            "ClientToken": token,
            "TagSpecifications": specifications,
            **({"Description": description} if description else {}),
            **encryption,
        }


def _tags_of(source: Image) -> dict[str, str]:
    """The tags of an AMI that its copies have, too."""
    return {
        key: value
        for key, value in tags.read(source.get("Tags", ())).items()
        if not key.startswith("aws:") and key not in _ITS_OWN
    }


def _copied(order: _Order, dead: list[str]) -> Image:
    """Asks for the copy until it is one that is not gone, and waits for it."""
    wanted, ctx = order.wanted, order.ctx
    if wanted.site.role.arn and (account := wanted.site.account()) != order.source.get("OwnerId"):
        _lend(order, account)
    waiting = ctx.shared(Waiting)
    while True:
        ctx.check()
        token = digest.of_bytes(msgspec.json.encode([wanted.key, dead])).removeprefix("sha256:")
        ami = _asked(order, token)
        if waiting.is_seen(wanted.site, ami, ctx.check):
            ctx.log(f"{wanted.source} in {wanted.home.region} is being copied to {ami}")
            return _finished(wanted, ami, ctx)
        dead.append(ami)


def _asked(order: _Order, token: str) -> str:
    """The id of the copy. Waits while too many are under way."""
    wanted, seconds = order.wanted, 1.0
    with sdk.asking(f"ec2:CopyImage {wanted.source} to {wanted.site.region}"):
        ec2 = wanted.site.client("ec2")
        while True:
            try:
                return str(ec2.copy_image(**order.request(token))["ImageId"])
            except ec2.exceptions.ClientError as error:
                code = sdk.code_of(error)
                if code == "InvalidAMIName.Duplicate":
                    raise _taken(order.request(token)["Name"], wanted.site) from None
                if code not in _CROWDED:
                    raise
            order.ctx.log(f"{wanted.site.region} copies as many AMIs as it may: waiting for {seconds:g} s")
            pause(seconds, order.ctx.check)
            seconds = min(seconds * 2, _LONGEST_PAUSE)


def _taken(name: str, site: Site) -> BakeError:
    hint = "let `name` of the destination hold what tells this AMI from others, such as a version"
    return BakeError(f"there is another AMI '{name}' in {site.region}", hint=hint)


def _finished(wanted: Wanted, ami: str, ctx: RunContext) -> Image:
    image = ctx.shared(Waiting).until_over(
        wanted.site, ami, ctx.check, lambda percent: ctx.progress(percent, 100, "% copied")
    )
    if image["State"] == AVAILABLE:
        return image
    why = image.get("StateReason", {}).get("Message", "") or f"it is {image['State']}"
    _removed(wanted.site, image, ctx)
    raise BakeError(f"{wanted.source} could not be copied to {wanted.site.region}: {why}")


def _removed(site: Site, image: Image, ctx: RunContext) -> str:
    """Removes what is left of a copy that failed. Returns its id."""
    ami = str(image["ImageId"])
    ctx.log(f"removing {ami}, a copy that is {image['State']}")
    with sdk.asking(f"ec2:DeregisterImage {ami} in {site.region}"):
        site.client("ec2").deregister_image(ImageId=ami)
    return ami


def _lend(order: _Order, account: str) -> None:
    """Lets another account copy the AMI: it must be allowed to launch it, and to read its snapshots."""
    home, source = order.wanted.home, order.source
    ec2 = home.client("ec2")
    permission = {"Add": [{"UserId": account}]}
    with sdk.asking(f"ec2:ModifyImageAttribute {order.wanted.source} in {home.region}"):
        ec2.modify_image_attribute(ImageId=order.wanted.source, LaunchPermission=permission)
    for snapshot in outcome.snapshots(source):
        with sdk.asking(f"ec2:ModifySnapshotAttribute {snapshot} in {home.region}"):
            ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission=permission)
