"""EC2 Image Builder as it is asked here: refusals with their code, and patience with those that pass.

The SDK's adaptive mode retries throttling and outages; what it doesn't know to pass is retried here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from imgbake.api import BakeError
from imgbake_aws import sdk

EXISTS = "ResourceAlreadyExistsException"
ABSENT = "ResourceNotFoundException"
DRY_RUN = "DryRunOperationException"
INVALID = "InvalidRequestException"
_PASSING = frozenset({"CallRateLimitExceededException", "ResourceInUseException"})
_DENIED = frozenset({"AccessDeniedException", "ForbiddenException", "UnauthorizedOperation"})
_HINTS = {
    "ExpiredTokenException": "log in again: the session of AWS is over",
    "ServiceQuotaExceededException": "ask AWS for a higher quota, or delete what is not used any more",
    "IdempotentParameterMismatchException": "somebody has used the same token for something else: try again "
    "in a while",
}
_TRIES = 6
_FIRST_WAIT = 0.25  # seconds
_TICK = 0.1
_LOOKS = 10  # a second, of all images in a region

_services: dict[tuple[str, str, str], Service] = {}
_guard = threading.Lock()


class Refused(BakeError):
    """What Image Builder said no to, with its code."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Service:
    """Image Builder in one region. Safe from threads."""

    def __init__(self, region: str, profile: str) -> None:
        self._client = sdk.client("imagebuilder", region, profile)
        self.region = str(self._client.meta.region_name)
        self.profile = profile
        self._guard = threading.Lock()
        self._next_look = 0.0

    def call(
        self,
        operation: str,
        about: str,
        request: dict[str, Any],
        check: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """The answer to a request, such as "CreateImage". Raises Refused."""
        for attempt in range(_TRIES):
            try:
                return self._once(operation, about, request)
            except Refused as refused:
                if refused.code not in _PASSING or attempt == _TRIES - 1:
                    raise
            pause(_FIRST_WAIT * 2**attempt, check)
        raise AssertionError("unreachable")

    def wait_to_look(self, seconds: float, check: Callable[[], None]) -> None:
        """Waits so long, and then for a turn: AWS's limit is the account's, however many images wait."""
        pause(seconds, check)
        with self._guard:
            now = time.monotonic()
            turn = max(now, self._next_look)
            self._next_look = turn + 1 / _LOOKS
        pause(turn - now, check)

    def all(self, operation: str, about: str, key: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All entries of a list, page by page. Raises Refused."""
        token: dict[str, Any] = {}
        while True:
            answer = self.call(operation, about, {**request, **token})
            yield from answer.get(key, ())
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}

    def has(self, operation: str, member: str, arn: str) -> bool:
        """Is a resource there? `operation` is the one that gets it, `member` says which. Raises Refused."""
        try:
            self.call(operation, arn, {member: arn})
        except Refused as refused:
            if refused.code != ABSENT:
                raise
            return False
        return True

    def _once(self, operation: str, about: str, request: dict[str, Any]) -> dict[str, Any]:
        from botocore import xform_name
        from botocore.exceptions import ClientError

        what = f"imagebuilder:{operation} {about}".rstrip()
        with sdk.asking(what):
            try:
                found: dict[str, Any] = getattr(self._client, xform_name(operation))(**request)
                return found
            except ClientError as error:
                code = sdk.code_of(error)
                said = error.response.get("Error", {}).get("Message", "") or error.response.get("message", "")
                hint = _HINTS.get(code, "")
                if code in _DENIED:
                    hint = f"allow imagebuilder:{operation} on {about} to whoever runs imgbake"
                raise Refused(code, f"{what}: AWS refused: {code}: {said}", hint) from None


def service(region: str, profile: str) -> Service:
    """The one for a region and a profile: all images share its connections, and its patience."""
    key = region, profile, sdk.endpoint("imagebuilder", profile)
    with _guard:
        if key not in _services:
            _services[key] = Service(region, profile)
        return _services[key]


def pause(seconds: float, check: Callable[[], None]) -> None:
    """Waits, and looks all the time whether to go on."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check()
        time.sleep(min(_TICK, left))
    check()
