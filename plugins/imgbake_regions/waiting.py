"""Waiting for AMIs: whoever waits in a region is told by one request for all of them.

Of those who wait, one asks, and the others are told. The pauses grow from a second to half a minute, and
begin anew when somebody comes or something has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_aws.sites import Site

AVAILABLE, PENDING = "available", "pending"

_FIRST, _GROWTH, _LONGEST = 1.0, 1.5, 30.0  # seconds between two requests
_UNSEEN = 20.0  # seconds after which a copy that nobody sees is one that is gone
_TICK = 0.1
_MOST_NAMED = 199  # EC2 takes 200 values in the filters of a request

Check = Callable[[], None]
Image = dict[str, Any]
"""An AMI as EC2 describes it."""


class Waiting:
    """The regions in which somebody waits. Safe from threads; one for all nodes of a run."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queues: dict[Site, _Queue] = {}

    def until_over(self, site: Site, ami: str, check: Check) -> Image:
        """The AMI, as soon as it is no longer pending. Raises BakeError, also when it is gone."""
        queue = self._queue(site)
        image = queue.wait(ami, lambda image: image is None or image["State"] != PENDING, check)
        if image is None:
            raise BakeError(f"{ami} in {site.region} is gone", hint="somebody has removed it: run it again")
        return image

    def is_seen(self, site: Site, ami: str, check: Check) -> bool:
        """Is it there, be it pending? What was just asked for may be seen only after some seconds."""
        end = time.monotonic() + _UNSEEN
        queue = self._queue(site)
        found = queue.wait(ami, lambda image: image is not None or time.monotonic() > end, check)
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
        self._asks = False  # does somebody ask right now?
        self._pace = _FIRST
        self._next = 0.0  # when to ask, by the monotonic clock

    def wait(self, ami: str, is_over: Callable[[Image | None], bool], check: Check) -> Image | None:
        """What is known of the AMI, as soon as this is enough."""
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
                    is_ours = not self._asks and time.monotonic() >= self._next
                    self._asks = self._asks or is_ours
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
            with self._guard:
                told = {ami: found.get(ami) for ami in wanted}
                before = {ami: self._told.get(ami) for ami in wanted}
                has_changed = _states(before) != _states(told)
                self._pace = _FIRST if has_changed else min(self._pace * _GROWTH, _LONGEST)
                self._told |= told
        finally:
            with self._guard:
                self._asks, self._next = False, time.monotonic() + self._pace


def pause(seconds: float, check: Check) -> None:
    """Waits, and heeds whoever stops it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check()
        time.sleep(min(_TICK, seconds))


def _states(images: dict[str, Image | None]) -> dict[str, str]:
    return {ami: image["State"] if image else "" for ami, image in images.items()}


def _described(site: Site, amis: list[str]) -> Iterable[Image]:
    """By a filter, for which it is no error when one isn't there."""
    for start in range(0, len(amis), _MOST_NAMED):
        filters = [{"Name": "image-id", "Values": amis[start : start + _MOST_NAMED]}]
        with sdk.asking(f"ec2:DescribeImages in {site.region}"):
            pages = site.client("ec2").get_paginator("describe_images").paginate(Filters=filters)
            yield from (image for page in pages for image in page["Images"])
