"""Waiting for AMIs: whoever waits in a region is told by one request for all of them.

Of those who wait, one asks, and the others are told. The pauses grow from a second to half a minute, and
begin anew when somebody comes or something has changed. How far copies have come is asked in the same
breath, of their snapshots: it is only shown, so who may not know it does without.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_aws.sites import Site

AVAILABLE, PENDING = "available", "pending"

_FIRST, _GROWTH, _LONGEST = 1.0, 1.5, 30.0  # seconds between two requests
_UNSEEN = 20.0  # seconds after which a copy that nobody sees is one that is gone
_TICK = 0.1
_MOST_NAMED = 199  # EC2 takes 200 values in the filters of a request
_COPY = re.compile(r"Copied for DestinationAmi (ami-\w+) ")  # what EC2 says of the snapshots of a copy

Check = Callable[[], None]
Progress = Callable[[int], None]
"""Is told how much of a copy is there, in percent."""

Image = dict[str, Any]
"""An AMI as EC2 describes it."""


class Waiting:
    """The regions in which somebody waits. Safe from threads; one for all nodes of a run."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queues: dict[Site, _Queue] = {}

    def until_over(self, site: Site, ami: str, check: Check, progress: Progress) -> Image:
        """The AMI, as soon as it is no longer pending. Raises BakeError, also when it is gone."""
        queue = self._queue(site)
        image = queue.wait(ami, lambda image: image is None or image["State"] != PENDING, check, progress)
        if image is None:
            raise BakeError(f"{ami} in {site.region} is gone", hint="somebody has removed it: run it again")
        return image

    def is_seen(self, site: Site, ami: str, check: Check) -> bool:
        """Is it there, be it pending? What was just asked for may be seen only after some seconds."""
        end = time.monotonic() + _UNSEEN
        queue = self._queue(site)
        found = queue.wait(ami, lambda image: image is not None or time.monotonic() > end, check, _unheeded)
        return found is not None

    def _queue(self, site: Site) -> _Queue:
        with self._guard:
            return self._queues.setdefault(site, _Queue(site))


class _Queue:
    """Those who wait in one region."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._guard = threading.Lock()
        self._waiting: dict[str, int] = {}  # AMIs: by how many
        self._told: dict[str, Image | None] = {}
        self._percent: dict[str, int] = {}  # of each copy that is pending
        self._tells_percent = True
        self._asks = False  # does somebody ask right now?
        self._pace = _FIRST
        self._next = 0.0  # when to ask, by the monotonic clock

    def wait(
        self, ami: str, is_over: Callable[[Image | None], bool], check: Check, progress: Progress
    ) -> Image | None:
        """What is known of the AMI, as soon as this is enough."""
        shown = None
        with self._guard:
            self._waiting[ami] = self._waiting.get(ami, 0) + 1
            self._told.pop(ami, None)
            self._pace, self._next = _FIRST, 0.0
        try:
            while True:
                check()
                with self._guard:
                    if ami in self._told and is_over(self._told[ami]):
                        return self._told[ami]
                    percent = self._percent.get(ami)
                    is_ours = not self._asks and time.monotonic() >= self._next
                    self._asks = self._asks or is_ours
                if percent is not None and percent != shown:
                    progress(percent)
                    shown = percent
                if is_ours:
                    self._ask()
                else:
                    time.sleep(_TICK)
        finally:
            with self._guard:
                self._waiting[ami] -= 1
                if not self._waiting[ami]:
                    del self._waiting[ami]

    def _ask(self) -> None:
        try:
            with self._guard:
                wanted = sorted(self._waiting)
            found = {image["ImageId"]: image for image in _described(self._site, wanted)}
            percent = self._how_far([ami for ami, image in found.items() if image["State"] == PENDING])
            with self._guard:
                told = {ami: found.get(ami) for ami in wanted}
                before = {ami: self._told.get(ami) for ami in wanted}
                has_changed = _states(before) != _states(told)
                self._pace = _FIRST if has_changed else min(self._pace * _GROWTH, _LONGEST)
                self._told |= told
                self._percent |= percent
        finally:
            with self._guard:
                self._asks, self._next = False, time.monotonic() + self._pace

    def _how_far(self, amis: Sequence[str]) -> dict[str, int]:
        """How much of each copy is there, in percent, as far as that is said."""
        try:
            return _percent(self._site, amis) if amis and self._tells_percent else {}
        except BakeError:
            self._tells_percent = False
            return {}


def pause(seconds: float, check: Check) -> None:
    """Waits, and heeds whoever stops it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check()
        time.sleep(min(_TICK, seconds))


def _states(images: dict[str, Image | None]) -> dict[str, str]:
    return {ami: image["State"] if image else "" for ami, image in images.items()}


def _unheeded(percent: int) -> None:
    """Is told, and tells nobody."""


def _described(site: Site, amis: Sequence[str]) -> Iterator[Image]:
    """By a filter, for which it is no error when one isn't there."""
    for named in _batches(amis):
        filters = [{"Name": "image-id", "Values": named}]
        with sdk.asking(f"ec2:DescribeImages in {site.region}"):
            pages = site.client("ec2").get_paginator("describe_images").paginate(Filters=filters)
            yield from (image for page in pages for image in page["Images"])


def _percent(site: Site, amis: Sequence[str]) -> dict[str, int]:
    """By the size of their snapshots, which a copy that is pending doesn't name; but they name the copy."""
    there: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for named in _batches(amis):
        filters = [{"Name": "description", "Values": [f"Copied for DestinationAmi {ami} *" for ami in named]}]
        with sdk.asking(f"ec2:DescribeSnapshots in {site.region}"):
            pages = site.client("ec2").get_paginator("describe_snapshots")
            for page in pages.paginate(OwnerIds=["self"], Filters=filters):
                for snapshot in page["Snapshots"]:
                    if found := _COPY.match(snapshot["Description"]):
                        whole[found[1]] += snapshot["VolumeSize"]
                        there[found[1]] += snapshot["VolumeSize"] * int(snapshot["Progress"].rstrip("%") or 0)
    return {ami: there[ami] // size for ami, size in whole.items() if size}


def _batches(amis: Sequence[str]) -> Iterator[Sequence[str]]:
    return (amis[start : start + _MOST_NAMED] for start in range(0, len(amis), _MOST_NAMED))
