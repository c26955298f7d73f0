"""Faults on demand: what the emulator is told to do wrong, and how often."""

from __future__ import annotations

import threading
from typing import TypeVar

import msgspec

from .errors import Dropped, Refused

Lasting = int | None  # how many times yet; None is until it is taken back


class Fault(msgspec.Struct, tag_field="fault", forbid_unknown_fields=True, kw_only=True):
    """Something that goes wrong, so many times, or until it is taken back."""

    times: Lasting = None


class Throttle(Fault, tag="throttle"):
    """Too many requests: for so many calls, or for all above a rate."""

    operation: str = "*"
    per_second: float | None = None
    code: str = "TooManyRequestsException"


class Error(Fault, tag="error"):
    """An answer that is an error, such as a failure of the service."""

    operation: str = "*"
    code: str = "ServiceException"
    message: str = "An internal error occurred."
    status: int = 0  # else what the model says


class Denied(Fault, tag="denied"):
    """The caller has no permission for an action."""

    operation: str = "*"
    principal: str = "arn:aws:iam::123456789012:user/tester"


class Expired(Fault, tag="expired"):
    """The caller's session is over."""

    operation: str = "*"


class Slow(Fault, tag="slow"):
    """An answer that takes its time."""

    seconds: float
    operation: str = "*"


class Lost(Fault, tag="region"):
    """A region that is not there: no answer at all, or 503. Nothing can be distributed there either."""

    region: str
    answer: bool = False


class ComponentFails(Fault, tag="component"):
    """A component fails in a step: by default the first step of its first phase."""

    component: str  # its name
    phase: str = ""
    step: str = ""
    action: str = ""
    message: str = "exit status 1"


class DistributionFails(Fault, tag="distribution"):
    """An image can't be brought to a region, or be configured there."""

    region: str
    message: str = "You have exceeded the number of AMIs in this Region."
    step: str = ""  # such as PUT_SSM_PARAMETERS: what fails after the copy
    account: str = ""


class ScanFinds(Fault, tag="scan"):
    """The scan of an image finds something, which fails images that may have nothing so severe."""

    severity: str
    title: str = "CVE-2026-0001"
    package: str = "openssl"
    has_fix: bool = True


AnyFault = Throttle | Error | Denied | Expired | Slow | Lost | ComponentFails | DistributionFails | ScanFinds
_Kind = TypeVar("_Kind", bound=Fault)


class Faults:
    """The faults that are in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rates: dict[int, list[float]] = {}
        self.all: list[AnyFault] = []

    def add(self, fault: AnyFault) -> None:
        """From now on."""
        self.all.append(fault)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self.all.clear()
            self._rates.clear()

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """Those of a kind."""
        return [fault for fault in list(self.all) if isinstance(fault, kind)]

    def spend(self, fault: AnyFault) -> bool:
        """Uses a fault once, if it has not been used up."""
        with self._lock:
            if fault not in self.all:
                return False
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.all.remove(fault)
            return True

    def lost(self, region: str) -> Lost | None:
        """Is a region lost?"""
        return next((fault for fault in self.of(Lost) if fault.region == region and self.spend(fault)), None)

    def delay(self, operation: str) -> float:
        """For how long an answer is held back."""
        slow = (fault for fault in self.of(Slow) if _is_for(fault.operation, operation))
        return sum(fault.seconds for fault in slow if self.spend(fault))

    def meet(self, operation: str, region: str, resource: str, now: float) -> None:
        """Raises what a request meets before the service looks at it."""
        if lost := self.lost(region):
            if not lost.answer:
                raise Dropped
            raise Refused("ServiceUnavailableException", f"The service is not available in {region}.")
        for fault in list(self.all):
            if isinstance(fault, Expired | Denied | Throttle | Error) and _is_for(fault.operation, operation):
                self._meet(fault, operation, resource, now)

    def _meet(
        self, fault: Expired | Denied | Throttle | Error, operation: str, resource: str, now: float
    ) -> None:
        if isinstance(fault, Throttle) and not self._is_over(fault, now):
            return
        if not self.spend(fault):
            return
        match fault:
            case Expired():
                raise Refused(
                    "ExpiredTokenException", "The security token included in the request is expired"
                )
            case Denied():
                raise Refused(
                    "AccessDeniedException",
                    f"User: {fault.principal} is not authorized to perform: imagebuilder:{operation} on "
                    f"resource: {resource} because no identity-based policy allows the "
                    f"imagebuilder:{operation} action",
                )
            case Throttle():
                raise Refused(fault.code, "Rate exceeded", 429)
            case Error():
                raise Refused(fault.code, fault.message, fault.status)

    def _is_over(self, fault: Throttle, now: float) -> bool:
        """Is this request one too many? Without a rate all are."""
        if fault.per_second is None:
            return True
        with self._lock:
            recent = [moment for moment in self._rates.get(id(fault), []) if moment > now - 1]
            over = len(recent) >= fault.per_second
            self._rates[id(fault)] = recent if over else [*recent, now]
            return over


def _is_for(wanted: str, operation: str) -> bool:
    return wanted in ("*", operation)
