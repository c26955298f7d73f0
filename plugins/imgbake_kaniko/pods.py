"""What a pod's status says: how its containers are, why it waits, and what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from imgbake.api import StepError

Pod = Mapping[str, Any]
Event = Mapping[str, Any]

_CLAIM = "PersistentVolumeClaim"
_KILLED = 137  # 128 and SIGKILL
_OVERDUE = "DeadlineExceeded"
_PULL = "is its name right, and may the cluster pull it? `service_account` can bring pull secrets"
_REFUSED = "build with `--keep`, and `kubectl describe pod` shows more"
_HOPELESS = {
    "ImagePullBackOff": ("the cluster can't pull {image}", _PULL),
    "InvalidImageName": ("{image} is no name of an image", "correct it in the recipe"),
    "ErrImageNeverPull": ("{image} is not on the node, and may not be pulled", _PULL),
    "ImageInspectError": ("the node can't read {image}", _PULL),
    "CreateContainerConfigError": ("the container '{name}' can't be set up", _REFUSED),
    "CreateContainerError": ("the container '{name}' can't be made", _REFUSED),
    "RunContainerError": ("the container '{name}' can't be started", _REFUSED),
    "CrashLoopBackOff": ("the container '{name}' fails again and again", _REFUSED),
}


class State(msgspec.Struct, frozen=True):
    """How a container is: "waiting", "running", "terminated", or "" when nobody knows yet."""

    kind: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0


def state(pod: Pod, container: str) -> State:
    """The state of a container of a pod."""
    return next((_state(status) for status in _statuses(pod) if status["name"] == container), State())


def trouble(pod: Pod, tail: Sequence[str] = ()) -> StepError | None:
    """Why the pod will not get any further, None while it may. `tail` is what was printed last."""
    status = pod.get("status", {})
    for each in _statuses(pod):
        found = _state(each)
        if found.kind == "waiting" and found.reason in _HOPELESS:
            text, hint = _HOPELESS[found.reason]
            what = text.format(image=each.get("image") or "its image", name=each["name"])
            return StepError(_with(f"{what} ({found.reason})", found.message), hint=hint)
    if status.get("reason") == "Evicted":
        hint = "the node was short of something: `requests` says what the pod needs"
        return StepError(
            _with("the node has evicted the pod", status.get("message", "")), hint=hint, tail=tail
        )
    if status.get("reason") == _OVERDUE:
        return _ended_at_deadline("pod", tail)
    for each in _statuses(pod):
        found = _state(each)
        if found.kind == "terminated" and found.code:
            return _ended(each["name"], found, tail)
    if status.get("phase") == "Failed":
        what = _with("the pod has failed", status.get("message", "") or status.get("reason", ""))
        return StepError(what, hint=_REFUSED, tail=tail)
    return None


def overdue(job: Pod, tail: Sequence[str] = ()) -> StepError | None:
    """What to say of a Job that the cluster has ended at its deadline, and its pod with it; else None."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition.get("type") in ("FailureTarget", "Failed") and condition.get("reason") == _OVERDUE:
            return _ended_at_deadline("Job", tail)
    return None


def delay(pod: Pod | None, events: Sequence[Event]) -> str:
    """Why a pod has not begun yet, in the cluster's words; empty when there is nothing to say."""
    warnings = sorted(
        (each for each in events if each.get("type") == "Warning"),
        key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "",
    )
    latest = _with(warnings[-1].get("reason", ""), warnings[-1].get("message", "")) if warnings else ""
    if pod is None:
        return latest
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            why = _with(condition.get("reason", ""), condition.get("message", ""))
            claimed = [each for each in warnings if each.get("involvedObject", {}).get("kind") == _CLAIM]
            return f"{why} {claimed[-1].get('message', '')}" if claimed else why
    waiting = (found for found in map(_state, _statuses(pod)) if found.kind == "waiting" and found.message)
    return next((_with(found.reason, found.message) for found in waiting), latest)


def _ended_at_deadline(what: str, tail: Sequence[str]) -> StepError:
    hint = "`deadline` of the target says how long it may take"
    return StepError(f"the cluster has ended the {what} at its deadline", hint=hint, tail=tail)


def _ended(name: str, found: State, tail: Sequence[str]) -> StepError:
    if found.reason == "OOMKilled":
        hint = "raise `limits.memory` of the target"
        return StepError(f"'{name}' ran out of memory (OOMKilled)", hint=hint, tail=tail)
    message = f"'{name}' exited with code {found.code}"
    if found.code == _KILLED:
        return StepError(f"{message}: it was killed", hint="was its pod removed, or its node?", tail=tail)
    return StepError(_with(message, found.message), tail=tail)


def _statuses(pod: Pod) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _state(status: Mapping[str, Any]) -> State:
    for kind, said in (status.get("state") or {}).items():
        return State(kind, said.get("reason", ""), said.get("message", "").strip(), said.get("exitCode", 0))
    return State()


def _with(what: str, why: str) -> str:
    return f"{what}: {why}" if what and why else what or why
