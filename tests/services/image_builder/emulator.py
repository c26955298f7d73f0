"""The emulator: answers requests one at a time, keeps what came of them, and remembers them."""

from __future__ import annotations

import copy
import json
import re
import time
import traceback
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from .amazon import stock
from .arns import Arn
from .call import Call, Values
from .clock import Clock, ManualClock
from .cloud import Cloud, Endpoint, Imagined
from .errors import Dropped, Refused
from .faults import Faults
from .model import model
from .operations import OPERATIONS
from .state_machine import Builds
from .store import Store

ACCOUNT = "123456789012"
PACE = {
    "PENDING": 1.0,
    "CREATING": 1.0,
    "BUILDING": 5.0,
    "TESTING": 3.0,
    "DISTRIBUTING": 2.0,
    "INTEGRATING": 1.0,
}
"""How many seconds an image is in each state, unless told otherwise."""

_SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/imagebuilder/aws4_request")


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Seen(NamedTuple):
    """A request that came: what it asked for, and how it was answered."""

    operation: str
    region: str
    params: Values
    error: str  # its code, or nothing

    def told(self) -> Values:
        """For the control API."""
        return self._asdict()


class Emulator:
    """EC2 Image Builder, without a network: `ImageBuilder` puts it behind one."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        pace: Mapping[str, float] | None = None,
        account: str = ACCOUNT,
        cloud: str = "",
    ) -> None:
        self.account = account
        self.clock = clock or Clock()
        self.cloud: Cloud = Endpoint(cloud, account) if cloud else Imagined()
        self.faults = Faults()
        self._pace = {**PACE, **(pace or {})}
        self._model = model()
        self.reset()
        if isinstance(self.clock, ManualClock):
            self.clock.watch(lambda: self.builds.advance())

    def reset(self) -> None:
        """Forgets everything."""
        self.faults.clear()
        self.store = Store()
        self.builds = Builds(self.store, self.cloud, self.faults, self.clock, self._pace)
        self.requests: list[Seen] = []
        self._tokens: dict[tuple[str, str, str], tuple[Values, Values]] = {}

    @property
    def calls(self) -> list[str]:
        """The operations that were asked for."""
        return [seen.operation for seen in self.requests]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Does what a request asks."""
        path, _, query = target.partition("?")
        operation, region, params, error = "", "", {}, ""
        try:
            region = _region(headers)
            operation, in_path = self._model.route(method, path)
            time.sleep(self.faults.delay(operation))
            self.faults.meet(operation, region, self._any(region), self.clock.now())
            params = self._model.read(operation, in_path, query, body)
            with self.builds.lock:
                found = self._do(operation, region, params)
            return _json(200, found)
        except Refused as refused:
            error = refused.code
            return self._refusal(refused)
        except Dropped:
            error = "Dropped"
            raise
        except Exception:  # noqa: BLE001 - a mistake of the emulator's must not look like a lost connection
            traceback.print_exc()
            error = "InternalFailure"
            return self._refusal(Refused(error, "The emulator made a mistake; its output has the traceback."))
        finally:
            self.requests.append(Seen(operation or f"{method} {path}", region, params, error))

    def _refusal(self, refused: Refused) -> Answer:
        status = refused.status or self._model.status(refused.code)
        return _json(status, {"message": refused.message}, {"x-amzn-ErrorType": refused.code})

    def _do(self, operation: str, region: str, params: Values) -> Values:
        serve = OPERATIONS.get(operation)
        if serve is None:
            raise Refused("NotImplementedException", f"The emulator does not serve {operation}.")
        if region not in self.store.stocked:
            stock(self.store, region, self.clock.now())
        self.builds.advance()
        token = params.get("clientToken", "")
        if earlier := self._earlier(operation, region, token, params):
            return earlier
        call = Call(
            operation, params, region, self.account, self.store, self.builds, self.cloud, self.clock.now()
        )
        output = self._model.output(operation)
        about = {"requestId": str(uuid.uuid4()), "clientToken": token}
        known = {key: value for key, value in about.items() if key in output.members and value}
        found = copy.deepcopy(self._model.write(operation, {**known, **serve(call)}))
        if token:
            self._tokens[region, operation, token] = (params, found)
        self.builds.advance()
        return found

    def _earlier(self, operation: str, region: str, token: str, params: Values) -> Values | None:
        """The answer to an earlier request with the same token."""
        if not token or (region, operation, token) not in self._tokens:
            return None
        asked, answered = self._tokens[region, operation, token]
        if asked != params:
            raise Refused(
                "IdempotentParameterMismatchException",
                f"The client token '{token}' was used with other parameters.",
            )
        return answered

    def _any(self, region: str) -> str:
        return str(Arn(region, self.account, "*", "")).rstrip("/")


def _region(headers: Mapping[str, str]) -> str:
    """The region that a request was signed for."""
    found = _SCOPE.search(headers.get("Authorization", ""))
    if found is None:
        raise Refused(
            "MissingAuthenticationTokenException", "The request is not signed for imagebuilder (SigV4)."
        )
    return found["region"]


def _json(status: int, values: Any, headers: dict[str, str] | None = None) -> Answer:
    about = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}
    return Answer(status, about, json.dumps(values).encode())
