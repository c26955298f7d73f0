"""AMIs: copies as EC2 makes them, deprecation, and fast launch."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .checking import read

if TYPE_CHECKING:
    from .server import Amazon

_TEN_YEARS = datetime.timedelta(days=3653)


def extend(cloud: Amazon) -> None:
    """Gives moto what it lacks."""
    from moto.ec2.models.amis import Ami, AmiBackend
    from moto.ec2.responses.amis import AmisResponse

    responses = {
        "copy_image": lambda self: copy_image(self, cloud),
        "enable_image_deprecation": enable_image_deprecation,
        "disable_image_deprecation": disable_image_deprecation,
        "enable_fast_launch": enable_fast_launch,
        "describe_fast_launch_images": describe_fast_launch_images,
        "modify_image_attribute": _with_description(AmisResponse),
    }
    for name, method in responses.items():
        setattr(AmisResponse, name, method)
    AmiBackend.describe_images = _moved_on(AmiBackend)  # type: ignore[method-assign]  # states move on by the clock
    if not hasattr(Ami, "deprecation_time"):
        Ami.deprecation_time = None
        _fill_disks(Ami)


def copy_image(self: Any, cloud: Amazon) -> Any:
    """CopyImage: idempotent by its token, pending for a time, with tags; from regions and accounts that lend."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.amis import Ami
    from moto.ec2.utils import random_ami_id

    asked = read(self)
    self.error_on_dryrun()
    backend, token = self.ec2_backend, asked.get("ClientToken", "")
    request = json.dumps({key: value for key, value in asked.items() if key != "ClientToken"}, sort_keys=True)
    if token and (self.region, token) in cloud.tokens:
        before, ami = cloud.tokens[self.region, token]
        if before != request:
            raise EC2ClientError("IdempotentParameterMismatch", f"{token} came with other parameters")
        return ActionResult({"ImageId": ami})
    source = _lent(asked["SourceImageId"], asked["SourceRegion"], self.current_account)
    if any(each.name == asked["Name"] and each.owner_id == self.current_account for each in backend.amis.values()):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {asked['Name']} is already in use")
    made = Ami(
        backend, random_ami_id(), source_ami=source, name=asked["Name"],
        description=asked.get("Description"), state="pending", root_device_type="ebs",
        region_name=f"{self.region}a",
    )  # fmt: skip
    made.ready_at = time.monotonic() + cloud.copies_take
    made.is_failing = self.region in cloud.failing_copies
    if made.is_failing:
        cloud.failing_copies.remove(self.region)
    made.ebs_snapshot.encrypted = bool(asked.get("Encrypted")) or source.ebs_snapshot.encrypted
    made.kms_key_id = asked.get("KmsKeyId", "")
    backend.amis[made.id] = made
    for each in asked.get("TagSpecifications", []):
        owner = made.id if each["ResourceType"] == "image" else made.ebs_snapshot.id
        backend.create_tags([owner], {tag["Key"]: tag["Value"] for tag in each["Tags"]})
    if token:
        cloud.tokens[self.region, token] = (request, made.id)
    return ActionResult({"ImageId": made.id})


def enable_image_deprecation(self: Any) -> Any:
    """EnableImageDeprecation: to the minute, not in the past, at most ten years on."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError

    asked = read(self)
    at = asked["DeprecateAt"]
    at = at if isinstance(at, datetime.datetime) else datetime.datetime.fromisoformat(at)
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    now = datetime.datetime.now(datetime.UTC)
    if not now < at < now + _TEN_YEARS:
        raise EC2ClientError("InvalidParameterValue", f"{at} is in the past, or too far away")
    at = (at + datetime.timedelta(seconds=30)).replace(second=0, microsecond=0)
    _one(self, asked["ImageId"]).deprecation_time = at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return ActionResult({"Return": True})


def disable_image_deprecation(self: Any) -> Any:
    """DisableImageDeprecation."""
    from moto.core.responses import ActionResult

    _one(self, read(self)["ImageId"]).deprecation_time = None
    return ActionResult({"Return": True})


def enable_fast_launch(self: Any) -> Any:
    """EnableFastLaunch, for Windows alone."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError

    asked = read(self)
    image = _one(self, asked["ImageId"])
    if (image.platform or "").lower() != "windows":
        raise EC2ClientError("InvalidParameter", f"{image.id} is not an AMI of Windows")
    image.fast_launch = {
        "ImageId": image.id,
        "ResourceType": asked.get("ResourceType", "snapshot"),
        "SnapshotConfiguration": asked.get("SnapshotConfiguration", {"TargetResourceCount": 5}),
        "LaunchTemplate": asked.get("LaunchTemplate"),
        "MaxParallelLaunches": asked.get("MaxParallelLaunches", 6),
        "OwnerId": image.owner_id,
        "State": "enabling",
    }
    return ActionResult({key: value for key, value in image.fast_launch.items() if value})


def describe_fast_launch_images(self: Any) -> Any:
    """DescribeFastLaunchImages."""
    from moto.core.responses import ActionResult

    wanted = read(self).get("ImageIds", [])
    found = [
        {key: value for key, value in image.fast_launch.items() if value}
        for image in self.ec2_backend.amis.values()
        if getattr(image, "fast_launch", None) and (not wanted or image.id in wanted)
    ]
    return ActionResult({"FastLaunchImages": found})


def _one(self: Any, ami: str) -> Any:
    from moto.ec2.exceptions import InvalidAMIIdError

    if ami not in self.ec2_backend.amis:
        raise InvalidAMIIdError(ami)
    return self.ec2_backend.amis[ami]


def _lent(ami: str, region: str, account: str) -> Any:
    """An AMI that an account has or is lent, with the snapshots that it reads."""
    from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
    from moto.ec2.models import ec2_backends

    for owner in list(ec2_backends):
        image = ec2_backends[owner][region].amis.get(ami)
        if image is None or image.owner_id != owner:
            continue
        if owner == account:
            return image
        if {"UserId": account} not in image.launch_permissions and not image.is_public:
            break
        if account not in image.ebs_snapshot.create_volume_permission_userids:
            raise EC2ClientError("InvalidRequest", f"You do not have permission to access the storage of {ami}")
        return image
    raise InvalidAMIIdError(ami)


def _moved_on(backend: type[Any]) -> Callable[..., Any]:
    describe = backend.describe_images
    if hasattr(describe, "is_ours"):
        return describe  # type: ignore[no-any-return]

    def describe_images(self: Any, *args: Any, **more: Any) -> Any:
        for image in self.amis.values():
            if image.state == "pending" and time.monotonic() >= getattr(image, "ready_at", 0):
                image.state = "failed" if image.is_failing else "available"
                if image.is_failing:
                    image.state_reason = {"Code": "Client.Failed", "Message": "the key was disabled"}
        found = describe(self, *args, **more)
        return found

    describe_images.is_ours = True  # type: ignore[attr-defined]
    return describe_images


def _with_description(response: type[Any]) -> Callable[..., Any]:
    """ModifyImageAttribute changes the description, too."""
    modify = response.modify_image_attribute
    if hasattr(modify, "is_ours"):
        return modify  # type: ignore[no-any-return]

    def modify_image_attribute(self: Any) -> Any:
        asked = read(self)
        if "Description" in asked:
            _one(self, asked["ImageId"]).description = asked["Description"]["Value"]
        return modify(self)

    modify_image_attribute.is_ours = True  # type: ignore[attr-defined]
    return modify_image_attribute


def _fill_disks(ami: type[Any]) -> None:
    """EC2 says of AMIs that are its own that they start from EBS, and of disks whether they are encrypted."""
    made = ami.__init__

    def as_ec2_says(self: Any, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        if more.get("instance") is not None or more.get("source_ami") is not None:
            self.root_device_type = "ebs"

    ami.__init__ = as_ec2_says  # type: ignore[misc]
