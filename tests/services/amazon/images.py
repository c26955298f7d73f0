"""AMIs: copies as EC2 makes them, deprecation, and fast launch."""

from __future__ import annotations

import datetime
import json
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .checking import read

if TYPE_CHECKING:
    from .server import Amazon

_TEN_YEARS = datetime.timedelta(days=3653)


def extend(cloud: Amazon) -> None:
    """Gives moto what it lacks. Once for a process."""
    amis: Any = import_module("moto.ec2.models.amis")
    responses: Any = import_module("moto.ec2.responses.amis").AmisResponse
    disks: Any = import_module("moto.ec2.responses.elastic_block_store").ElasticBlockStore
    responses.copy_image = lambda self: copy_image(self, cloud)
    responses.enable_image_deprecation = enable_image_deprecation
    responses.disable_image_deprecation = disable_image_deprecation
    responses.enable_fast_launch = enable_fast_launch
    responses.describe_fast_launch_images = describe_fast_launch_images
    responses.modify_image_attribute = _with_description(responses.modify_image_attribute)
    disks.modify_snapshot_attribute = modify_snapshot_attribute
    amis.AmiBackend.describe_images = _moved_on(amis.AmiBackend.describe_images)
    import_module("moto.ec2.models.elastic_block_store").Snapshot.progress = property(_progress)
    amis.Ami.deprecation_time = None
    amis.Ami.__init__ = _dated(amis.Ami.__init__)


def copy_image(self: Any, cloud: Amazon) -> Any:
    """CopyImage: idempotent by its token, pending for a time, with tags; of what other accounts lend."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import EC2ClientError
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
    if any(
        each.name == asked["Name"] and each.owner_id == self.current_account for each in backend.amis.values()
    ):
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {asked['Name']} is already in use")
    made: Any = import_module("moto.ec2.models.amis").Ami(
        backend, random_ami_id(), source_ami=source, name=asked["Name"],
        description=asked.get("Description"), state="pending", root_device_type="ebs",
        region_name=f"{self.region}a",
    )  # fmt: skip
    made.takes, made.ready_at = cloud.copies_take, time.monotonic() + cloud.copies_take
    made.is_failing = self.region in cloud.failing_copies
    if made.is_failing:
        cloud.failing_copies.remove(self.region)
    made.ebs_snapshot.encrypted = bool(asked.get("Encrypted")) or source.ebs_snapshot.encrypted
    made.kms_key_id = asked.get("KmsKeyId", "")
    made.ebs_snapshot.copied_for = made
    made.ebs_snapshot.description = (
        f"Copied for DestinationAmi {made.id} from SourceAmi {source.id} "
        f"for SourceSnapshot {source.ebs_snapshot.id}. Task created on 1,566,308,778,174."
    )
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


def modify_snapshot_attribute(self: Any) -> Any:
    """ModifySnapshotAttribute, in both ways to say who."""
    from moto.core.responses import EmptyResult

    asked = read(self)
    said = asked.get("CreateVolumePermission", {})
    if "OperationType" in asked:
        who = [{"UserId": each} for each in asked.get("UserIds", [])]
        said = {
            asked["OperationType"].title(): who + [{"Group": each} for each in asked.get("GroupNames", [])]
        }
    changes = {
        "Add": self.ec2_backend.add_create_volume_permission,
        "Remove": self.ec2_backend.remove_create_volume_permission,
    }
    for what, who in said.items():
        users = [each["UserId"] for each in who if "UserId" in each]
        groups = [each["Group"] for each in who if "Group" in each]
        changes[what](asked["SnapshotId"], user_ids=users, groups=groups)
    return EmptyResult()


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
            raise EC2ClientError(
                "InvalidRequest", f"You do not have permission to access the storage of {ami}"
            )
        return image
    raise InvalidAMIIdError(ami)


def _moved_on(describe: Any) -> Any:
    """Before they are described, copies that took their time are there, or have failed."""

    def describe_images(self: Any, *args: Any, **more: Any) -> Any:
        for image in self.amis.values():
            if image.state == "pending" and time.monotonic() >= image.ready_at:
                image.state = "failed" if image.is_failing else "available"
                if image.is_failing:
                    image.state_reason = {"Code": "Client.Failed", "Message": "the key was disabled"}
        return describe(self, *args, **more)

    return describe_images


def _progress(self: Any) -> str:
    """How much of a snapshot is there."""
    made: Any = getattr(self, "copied_for", None)
    left = max(0.0, made.ready_at - time.monotonic()) if made and made.state == "pending" else 0.0
    return f"{100 - 100 * left / made.takes:.0f}%" if left else "100%"


def _with_description(modify: Any) -> Any:
    """ModifyImageAttribute changes the description, too."""

    def modify_image_attribute(self: Any) -> Any:
        asked = read(self)
        if "Description" in asked:
            _one(self, asked["ImageId"]).description = asked["Description"]["Value"]
        return modify(self)

    return modify_image_attribute


def _dated(made: Any) -> Any:
    """EC2 says of AMIs that are its own that they start from EBS; and no two were made in the same second."""
    began = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    last = [began - datetime.timedelta(hours=6)]

    def as_ec2_says(self: Any, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        self.creation_date = last[0] = last[0] + datetime.timedelta(seconds=1)
        if self.owner_id == self.ec2_backend.account_id:
            self.root_device_type = "ebs"

    return as_ec2_says
