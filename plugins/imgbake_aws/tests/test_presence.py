"""How often AWS is asked whether AMIs are there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import cast

import pytest

from imgbake.api import BakeError, ResolveContext
from imgbake_aws import presence, sdk
from imgbake_aws.tests.clouds import TRUSTY, Cloud


class _Store:
    """What tells a build from others."""


def a_build() -> ResolveContext:
    """The context of a build of its own."""
    return cast(ResolveContext, SimpleNamespace(blobs=_Store()))  # all that is asked of it


REGIONS = ("us-east-1", "eu-west-1", "eu-central-1")


def test_a_region_is_asked_once_for_all_images(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    build = a_build()
    asked: list[str] = []
    ask = presence._ask

    def counted(region: str, profile: str) -> frozenset[str]:
        asked.append(region)
        return ask(region, profile)

    monkeypatch.setattr(presence, "_ask", counted)
    amis = {}
    for region in REGIONS:
        ec2 = cloud.client("ec2", region)
        machine = ec2.run_instances(ImageId=TRUSTY, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        amis[region] = [
            ec2.create_image(InstanceId=machine, Name=f"ours {number}")["ImageId"] for number in range(5)
        ]
    images = [dict(zip(REGIONS, ids, strict=True)) for ids in zip(*amis.values(), strict=True)] * 10
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda regions: presence.are_there(regions, "", build), images))
    assert sorted(asked) == sorted(REGIONS)
    assert not presence.are_there({**images[0], "us-east-1": "ami-00000000"}, "", build)
    assert presence.are_there(images[0], "", a_build()) and len(asked) == 2 * len(REGIONS)


def test_somebody_elses_ami_is_not_ours(cloud: Cloud) -> None:
    assert not presence.are_there({"us-east-1": TRUSTY}, "", a_build())


def test_one_of_more_than_a_filter_takes_is_found(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    machine = ec2.run_instances(ImageId=TRUSTY, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ours = ec2.create_image(InstanceId=machine, Name="ours")["ImageId"]
    here = "us-east-1", ""
    gone = {f"ami-{number:08x}" for number in range(300)}
    with cloud.asked() as asked:
        assert ours in presence.of_these({here: gone | {ours}})[here]
    assert asked == ["ec2:DescribeImages us-east-1"]
    assert presence.of_these({here: {ours, "ami-00000000"}}) == {here: frozenset({ours})}


def test_what_cannot_be_reached_is_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(BakeError, match="AWS can't be reached"):
        presence.are_there({"us-east-1": TRUSTY}, "", a_build())


def test_an_answer_that_is_none_of_awss_is_said() -> None:
    from botocore.parsers import ResponseParserError

    with pytest.raises(BakeError, match="the answer is none of AWS's"), sdk.asking("ec2:DescribeImages"):
        raise ResponseParserError("invalid XML received")
