"""Are AMIs still there? One question for each region in a build, however many images ask."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from imgbake.api import Blobs, ResolveContext
from imgbake_aws import sdk

_USABLE = "available"


class _Answers:
    """What one build was told: the AMIs that are ours and available, by region and profile."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._ids: dict[tuple[str, str], frozenset[str]] = {}

    def available(self, region: str, profile: str) -> frozenset[str]:
        key = region, profile
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._ids:
                self._ids[key] = _ask(region, profile)
            return self._ids[key]


_builds: weakref.WeakKeyDictionary[Blobs, _Answers] = weakref.WeakKeyDictionary()
_guard = threading.Lock()


def are_there(regions: Mapping[str, str], profile: str, ctx: ResolveContext) -> bool:
    """Are these AMIs, by region, ours and available? Raises BakeError when AWS can't be asked.

    An answer counts for one build, which is told from another by the store that it has opened.
    """
    with _guard:
        answers = _builds.setdefault(ctx.blobs, _Answers())
    with ThreadPoolExecutor(max(1, len(regions))) as pool:  # a region that is far away keeps no other
        there = pool.map(lambda region: answers.available(region, profile), regions)
        return all(ami in available for ami, available in zip(regions.values(), there, strict=True))


def _ask(region: str, profile: str) -> frozenset[str]:
    with sdk.asking(f"ec2:DescribeImages in {region}"):
        pages = sdk.client("ec2", region, profile).get_paginator("describe_images")
        filters = [{"Name": "state", "Values": [_USABLE]}]
        return frozenset(
            image["ImageId"]
            for page in pages.paginate(Owners=["self"], Filters=filters)
            for image in page["Images"]
        )
