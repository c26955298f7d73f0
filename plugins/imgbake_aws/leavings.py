"""What bakes leave behind that were killed, found by a tag and removed by the next one.

    .imgbake/bakes/STAMP.json    a bake that is going on: where it is, locked by the process that bakes

Whoever bakes removes what it made itself, also when it fails or is stopped. Only where it was killed,
its file stays and nobody holds the lock. All that carries its tag costs money and is of no use to anybody:
instances, volumes, snapshots, AMIs that nobody has recorded, key pairs and security groups.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from imgbake.api import BakeError, RunContext
from imgbake_aws import outcome, sdk, tags

FOLDER = ".imgbake/bakes"
ENVIRONMENT = "IMGBAKE_BAKE"  # the variable that marks the programs which bake for us, with the stamp
_PATIENCE = 60.0  # seconds that they may take to clean up
_TEMPORARY = "packer_"  # what the names of such a key pair or group begin with
_GONE = ("shutting-down", "terminated")
_AMI = re.compile(r"\bami-[0-9a-f]+\b")


class Bake(msgspec.Struct, frozen=True):
    """A bake that was begun."""

    stamp: str  # the value of its tag
    regions: tuple[str, ...]
    profile: str = ""


@contextlib.contextmanager
def watched(bake: Bake, ctx: RunContext) -> Iterator[None]:
    """Removes what dead bakes of this project left, and remembers this one until it has ended."""
    folder = ctx.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.json")):
        _remove_dead(path, ctx)
    path = folder / f"{bake.stamp}.json"
    beside = path.with_suffix(".new")
    fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, msgspec.json.encode(bake))
        beside.rename(path)  # whoever sees it finds it locked: another bake would take it for a dead one's
        try:
            yield
        except BakeError:
            with contextlib.suppress(BakeError):  # the next one tries again
                remove(bake, ctx)
                path.unlink()
            raise
        path.unlink()
    finally:
        os.close(fd)


def remove(bake: Bake, ctx: RunContext) -> None:
    """Removes all that carries the bake's tag. Raises BakeError when AWS refuses."""
    for region in bake.regions:
        with sdk.asking(f"removing what a bake left in {region}"):
            _Leavings(sdk.client("ec2", region, bake.profile), bake.stamp, ctx).remove()


def _remove_dead(path: Path, ctx: RunContext) -> None:
    """Removes what the bake of this file left, if it is dead."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        bake = msgspec.json.decode(path.read_bytes(), type=Bake)
        ctx.log(f"a bake was killed ({bake.stamp}): looking for what it left")
        _end_orphans(bake.stamp, ctx)
        remove(bake, ctx)
        path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return
    except msgspec.DecodeError:
        path.unlink()
    except BakeError as error:
        ctx.log(f"warning: what a killed bake left could not be removed: {error.message}")
    finally:
        os.close(fd)


def _end_orphans(stamp: str, ctx: RunContext) -> None:
    """Ends the programs of a dead bake, which go on without us, and lets them clean up."""
    until = time.monotonic() + _PATIENCE
    for pid in _marked(stamp):
        _signal(pid, signal.SIGTERM)
    while left := _marked(stamp):
        ctx.check()
        if time.monotonic() > until:
            for pid in left:
                _signal(pid, signal.SIGKILL)
        time.sleep(0.1)


def _marked(stamp: str) -> list[int]:
    wanted, found = f"{ENVIRONMENT}={stamp}".encode(), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class _Leavings:
    """What carries the tag of a bake in one region."""

    def __init__(self, ec2: sdk.Client, stamp: str, ctx: RunContext) -> None:
        self._ec2, self._stamp, self._ctx = ec2, stamp, ctx
        self._filters = [{"Name": f"tag:{tags.BAKE}", "Values": [stamp]}]

    def remove(self) -> None:
        """Removes it, each kind after those that use it."""
        reservations = self._ec2.describe_instances(Filters=self._filters)["Reservations"]
        instances = [each for reservation in reservations for each in reservation["Instances"]]
        if running := [each["InstanceId"] for each in instances if each["State"]["Name"] not in _GONE]:
            self._say("instance", running)
            self._ec2.terminate_instances(InstanceIds=running)
            self._ec2.get_waiter("instance_terminated").wait(InstanceIds=running)
        self._each("volume", "describe_volumes", "Volumes", "VolumeId", "delete_volume")
        for each in instances:
            self._remove_temporary(each)
        images = self._images(instances)
        for image in images:
            self._say("AMI", [image["ImageId"]])
            self._ec2.deregister_image(ImageId=image["ImageId"])
        self._each("snapshot", "describe_snapshots", "Snapshots", "SnapshotId", "delete_snapshot")
        for snapshot in {each for image in images for each in outcome.snapshots(image)}:
            with contextlib.suppress(self._ec2.exceptions.ClientError):  # it carried the tag and is gone
                self._ec2.delete_snapshot(SnapshotId=snapshot)
        self._each("key pair", "describe_key_pairs", "KeyPairs", "KeyName", "delete_key_pair")
        self._each(
            "security group", "describe_security_groups", "SecurityGroups", "GroupId", "delete_security_group"
        )

    def _images(self, instances: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """AMIs of the bake. They get tags last: before that the name tells, or who made their snapshots."""
        filters = [self._filters, [{"Name": "name", "Values": [f"*{self._stamp}"]}]]
        made = {
            ami
            for each in instances
            for snapshot in self._snapshots(f"*CreateImage({each['InstanceId']})*")
            for ami in _AMI.findall(snapshot["Description"])
        }
        if made:
            filters.append([{"Name": "image-id", "Values": sorted(made)}])
        found = {
            image["ImageId"]: image
            for wanted in filters
            for image in self._ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]
        }
        return list(found.values())

    def _snapshots(self, description: str) -> list[dict[str, Any]]:
        filters = [{"Name": "description", "Values": [description]}]
        found: list[dict[str, Any]] = self._ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)[
            "Snapshots"
        ]
        return found

    def _remove_temporary(self, instance: dict[str, Any]) -> None:
        """The key pair and the groups that were made for an instance; not all who make them tag them."""
        key = instance.get("KeyName", "")
        if key.startswith(_TEMPORARY):
            self._say("key pair", [key])
            self._ec2.delete_key_pair(KeyName=key)
        for group in instance.get("SecurityGroups", ()):
            if group["GroupName"].startswith(_TEMPORARY):
                self._say("security group", [group["GroupName"]])
                self._ec2.delete_security_group(GroupId=group["GroupId"])

    def _each(self, what: str, describe: str, member: str, key: str, delete: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = getattr(self._ec2, describe)(Filters=self._filters)[member]
        for each in found:
            self._say(what, [each[key]])
            getattr(self._ec2, delete)(**{key: each[key]})
        return found

    def _say(self, what: str, ids: Sequence[str]) -> None:
        self._ctx.log(f"removing the {what} {', '.join(ids)}")
