"""Are AMIs still there? One question for each region, however many images ask at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec

from imgbake_aws import sdk

_FRESH = 5.0  # seconds for which an answer counts; the images of a build ask within them
_USABLE = "available"


class _Answer(msgspec.Struct, frozen=True):
    ids: frozenset[str]
    came: float  # of time.monotonic


_answers: dict[tuple[str, str, str], _Answer] = {}
_locks: dict[tuple[str, str, str], threading.Lock] = {}
_guard = threading.Lock()


def are_there(regions: Mapping[str, str], profile: str) -> bool:
    """Are these AMIs, by region, ours and available? Raises BakeError when AWS can't be asked."""
    return all(ami in _available(region, profile) for region, ami in regions.items())


def forget() -> None:
    """What was answered before no longer counts: something was made or removed."""
    with _guard:
        _answers.clear()


def _available(region: str, profile: str) -> frozenset[str]:
    key = region, profile, sdk.endpoint("ec2", profile)
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        answer = _answers.get(key)
        if answer is None or time.monotonic() - answer.came > _FRESH:
            answer = _Answer(_ask(region, profile), time.monotonic())
            with _guard:
                _answers[key] = answer
    return answer.ids


def _ask(region: str, profile: str) -> frozenset[str]:
    with sdk.asking(f"ec2:DescribeImages in {region}"):
        pages = sdk.client("ec2", region, profile).get_paginator("describe_images")
        filters = [{"Name": "state", "Values": [_USABLE]}]
        return frozenset(
            image["ImageId"]
            for page in pages.paginate(Owners=["self"], Filters=filters)
            for image in page["Images"]
        )
