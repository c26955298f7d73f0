"""Are AMIs still there? One question for each region, however many images ask."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from imgbake.api import Blobs, ResolveContext
from imgbake_aws import sdk

_USABLE = "available"
_MOST_NAMED = 199  # EC2 takes 200 values in the filters of a request

Place = tuple[str, str]
"""A region, and a profile."""


class _Answers:
    """What one build was told: the AMIs that are ours and available, by region and profile."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Place, threading.Lock] = {}
        self._ids: dict[Place, frozenset[str]] = {}

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


def of_these(wanted: Mapping[Place, Collection[str]]) -> dict[Place, frozenset[str]]:
    """Which of these AMIs are ours and available. Raises BakeError soon when AWS can't be asked."""
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        answers = pool.map(lambda place: _ask(place[0], place[1], wanted[place], is_hasty=True), wanted)
        return dict(zip(wanted, answers, strict=True))


def _ask(region: str, profile: str, named: Collection[str] = (), *, is_hasty: bool = False) -> frozenset[str]:
    """Our AMIs that are available: all, or at least those of the ones that are named."""
    filters = [{"Name": "state", "Values": [_USABLE]}]
    if 0 < len(named) <= _MOST_NAMED:  # an account may have thousands
        filters.append({"Name": "image-id", "Values": sorted(named)})
    with sdk.asking(f"ec2:DescribeImages in {region}"):
        pages = sdk.client("ec2", region, profile, is_hasty=is_hasty).get_paginator("describe_images")
        return frozenset(
            image["ImageId"]
            for page in pages.paginate(Owners=["self"], Filters=filters)
            for image in page["Images"]
        )
