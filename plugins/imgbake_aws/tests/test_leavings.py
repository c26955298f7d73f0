"""What a killed bake leaves, whose AMIs may not have their tags yet."""

from __future__ import annotations

import fcntl
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from imgbake.api import RunContext
from imgbake_aws import leavings, tags
from imgbake_aws.tests.clouds import TRUSTY, Cloud

STAMP = "20261128T120000Z-abcdef"


def test_amis_without_tags_go_with_their_snapshots(cloud: Cloud) -> None:
    ec2, said = cloud.client("ec2"), list[str]()
    marked = [{"ResourceType": "instance", "Tags": tags.written({tags.BAKE: STAMP})}]
    machines = [
        ec2.run_instances(ImageId=TRUSTY, MinCount=1, MaxCount=1, **more)["Instances"][0]["InstanceId"]
        for more in ({"TagSpecifications": marked}, {})
    ]
    temporary = ec2.create_image(InstanceId=machines[0], Name="G77edWT")["ImageId"]
    named = ec2.copy_image(SourceRegion="us-east-1", SourceImageId=temporary, Name=f"app-ami-{STAMP}")[
        "ImageId"
    ]
    foreign = ec2.create_image(InstanceId=machines[1], Name="app-ami")["ImageId"]
    ctx = cast(RunContext, SimpleNamespace(log=said.append))
    leavings.remove(leavings.Bake(STAMP, ("us-east-1",)), ctx)
    assert set(cloud.amis()) == {foreign}
    assert {f"removing the AMI {ami}" for ami in (temporary, named)} < set(said)
    own = [
        each
        for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        if each["OwnerId"] == "123456789012"
    ]
    assert [each["Description"].rpartition(" ")[2] for each in own] == [foreign]
    assert [state for state, _ in cloud.instances()] == ["terminated", "running"]


def test_a_bake_that_just_begins_is_taken_for_no_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = cast(RunContext, SimpleNamespace(root=tmp_path, log=str))
    lock, folder = fcntl.flock, tmp_path / leavings.FOLDER

    def look_meanwhile(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        with leavings.watched(leavings.Bake("another", ()), ctx):
            lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", look_meanwhile)
    with leavings.watched(leavings.Bake(STAMP, ()), ctx):
        assert [path.name for path in folder.iterdir()] == [f"{STAMP}.json"]
    assert list(folder.iterdir()) == []
