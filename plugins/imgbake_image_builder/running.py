"""An image of Image Builder while it is baked: started, found again, waited for, stopped.

It bears the digest of what it is baked from as a tag. So a build that was killed leaves an image that the
next one goes on waiting for, one that failed is retried where it failed, and one that is done is used.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from imgbake.api import BakeError, Interrupted, RunContext, StepError
from imgbake_aws import sdk
from imgbake_image_builder.resources import Body, token
from imgbake_image_builder.service import ABSENT, INVALID, Refused, Service, service

FINGERPRINT = "imgbake:fingerprint"
BUILT = "imgbake:built"  # the digest of what an image is built of, wherever it is brought to
Start = Callable[[str, dict[str, str]], str]
"""Starts an image, given a client token and tags, and returns its ARN."""
_STATES = ("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING", "AVAILABLE")
_ENDED = frozenset({"AVAILABLE", "FAILED", "CANCELLED", "DEPRECATED", "DELETED", "DISABLED"})
_SHORTEST, _LONGEST = 0.25, 15.0  # seconds between two looks
_SHARE = 0.05  # of the time that has gone by already
_TOKENS = 20
_CANCELLING = 600.0  # seconds that Image Builder may take to stop


class Image(Body):
    """What GetImage says of an image."""

    @property
    def arn(self) -> str:
        """Its build version."""
        return str(self["arn"])

    @property
    def status(self) -> str:
        """The state it is in."""
        return str(self.get("state", {}).get("status", ""))

    def tag(self, name: str) -> str:
        """One of its tags, empty where there is none."""
        return str(self.get("tags", {}).get(name, ""))


class Running:
    """The baking of one image."""

    def __init__(self, found: Service, fingerprint: str, built: str, ctx: RunContext) -> None:
        self._service, self._fingerprint, self._built, self._ctx = found, fingerprint, built, ctx

    def bake(
        self,
        recipe: str,
        start: Start,
        usable: Callable[[Image], bool],
        distribute: Callable[[str], Start] | None = None,
    ) -> Image:
        """An image of this recipe that has been baked of the same: found, or else made by `start`.

        With `distribute`, one that was built of the same and only brought elsewhere is distributed anew.
        Raises StepError for one that failed.
        """
        arn = self._begin(recipe, start, usable, distribute)
        try:
            return self._wait(arn)
        except (Interrupted, StepError):
            self._cancel(arn)
            raise

    def _begin(
        self,
        recipe: str,
        start: Start,
        usable: Callable[[Image], bool],
        distribute: Callable[[str], Start] | None,
    ) -> str:
        versions = self._versions(recipe)
        earlier = [each for each in versions if each.tag(FINGERPRINT) == self._fingerprint]
        if earlier:
            last = earlier[-1]
            if last.status not in _ENDED:
                self._ctx.log(f"found {last.arn}, which an earlier build has started")
                return last.arn
            if not self._ctx.force and last.status == "AVAILABLE" and usable(self._get(last.arn)):
                self._ctx.log(f"found {last.arn}, which is the same already")
                return last.arn
            if not self._ctx.force and last.status == "FAILED" and last.get("type") != "DOCKER":
                if self._retry(last.arn):
                    return last.arn
                discard(self._get(last.arn), self._service.profile)
        elif distribute and not self._ctx.force:
            built = [
                each for each in versions if (each.tag(BUILT), each.status) == (self._built, "AVAILABLE")
            ]
            if built and usable(self._get(built[-1].arn)):
                self._ctx.log(f"{built[-1].arn} is the same but for where it goes: it is distributed")
                start = distribute(built[-1].arn)
        return self._start(recipe, len(earlier), start)

    def _start(self, recipe: str, number: int, start: Start) -> str:
        """A new image. A token is remembered longer than an image that somebody deletes."""
        for attempt in range(_TOKENS):
            tags = {FINGERPRINT: self._fingerprint, BUILT: self._built}
            arn = start(token(self._fingerprint, recipe, number, attempt), tags)
            if self._service.has("GetImage", "imageBuildVersionArn", arn):
                self._ctx.log(f"started {arn}")
                return arn
        raise BakeError("what Image Builder starts is deleted at once", hint="try again later")

    def _versions(self, recipe: str) -> list[Image]:
        """The images of this recipe, the oldest first."""
        version = recipe.replace(":image-recipe/", ":image/").replace(":container-recipe/", ":image/")
        try:
            listed = list(
                self._service.all(
                    "ListImageBuildVersions", version, "imageSummaryList", {"imageVersionArn": version}
                )
            )
        except Refused as refused:
            if refused.code != ABSENT:
                raise
            return []
        return sorted(map(Image, listed), key=lambda image: int(image.arn.rpartition("/")[2]))

    def _retry(self, arn: str) -> bool:
        failed = self._get(arn)
        request = {
            "imageBuildVersionArn": arn,
            "clientToken": token("retry", arn, failed.get("state", {}), time.time()),
        }
        try:
            self._service.call("RetryImage", arn, request, self._ctx.check)
        except Refused as refused:
            if refused.code not in (INVALID, ABSENT, "InvalidParameterValueException"):
                raise
            self._ctx.log(f"{arn} can't be retried: {refused.message}")
            return False
        self._ctx.log(f"retrying {arn} from where it failed")
        return True

    def _wait(self, arn: str) -> Image:
        began, said = time.monotonic(), ""
        while True:
            image = self._get(arn)
            if image.status != said:
                said = image.status
                self._ctx.log(f"-- {said.lower()}")
                if said in _STATES:
                    self._ctx.progress(_STATES.index(said), len(_STATES) - 1, "states")
            if image.status in _ENDED:
                return image
            gone = time.monotonic() - began
            wait = min(_LONGEST, max(_SHORTEST, gone * _SHARE))
            self._service.wait_to_look(wait, self._ctx.check)

    def _cancel(self, arn: str) -> None:
        """Stops a bake, and waits until nothing of it runs. What it made so far is removed."""
        self._ctx.log(f"cancelling {arn}")
        request = {"imageBuildVersionArn": arn, "clientToken": token("cancel", arn)}
        with contextlib.suppress(BakeError):  # it may have ended meanwhile
            self._service.call("CancelImageCreation", arn, request)
        end = time.monotonic() + _CANCELLING
        while time.monotonic() < end:
            image = self._get(arn)
            if image.status in _ENDED:
                if image.status == "CANCELLED":
                    discard(image, self._service.profile)
                return
            time.sleep(_SHORTEST)
        self._ctx.log(f"{arn} has not stopped: see to it in the console of Image Builder")

    def _get(self, arn: str) -> Image:
        return get(self._service, arn)


def get(found: Service, arn: str) -> Image:
    """What Image Builder says of an image. Raises Refused."""
    return Image(found.call("GetImage", arn, {"imageBuildVersionArn": arn})["image"])


def is_available(arn: str, profile: str) -> bool:
    """Is the image there, and may be used? Raises BakeError when AWS can't be asked."""
    try:
        return get(service(arn.split(":")[3], profile), arn).status == "AVAILABLE"
    except Refused as refused:
        if refused.code != ABSENT:
            raise
        return False


def discard(image: Image, profile: str) -> None:
    """Removes the AMIs that an image which did not succeed has left in our account, and their snapshots."""
    account = image.arn.split(":")[4]
    for made in image.get("outputResources", {}).get("amis", ()):
        if made.get("image") and made.get("accountId", account) == account:
            _deregister(made["region"], made["image"], profile)


def _deregister(region: str, ami: str, profile: str) -> None:
    ec2 = sdk.client("ec2", region, profile)
    with sdk.asking(f"ec2:DeregisterImage {ami} in {region}"):
        images: list[Any] = ec2.describe_images(Filters=[{"Name": "image-id", "Values": [ami]}])["Images"]
        for found in images:
            ec2.deregister_image(ImageId=ami)
            for device in found.get("BlockDeviceMappings", ()):
                if snapshot := device.get("Ebs", {}).get("SnapshotId"):
                    ec2.delete_snapshot(SnapshotId=snapshot)
