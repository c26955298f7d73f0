"""Workflows: the steps that images go through, managed ones and those of users."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import yaml

from .clock import date
from .errors import invalid

Body = dict[str, Any]
ACTIONS = {
    "ApplyImageConfigurations", "BootstrapInstanceForContainer", "CollectImageMetadata",
    "CollectImageScanFindings", "CreateImage", "DistributeImage", "ExecuteComponents", "ExecuteStateMachine",
    "LaunchInstance", "ModifyImageAttributes", "RegisterImage", "RunCommand", "RunSysPrep",
    "SanitizeInstance", "TerminateInstance", "WaitForAction", "WaitForSSMAgent",
}  # fmt: skip
MANAGED = {
    "build-image": (
        "build",
        [
            ("LaunchBuildInstance", "LaunchInstance"),
            ("ApplyBuildComponents", "ExecuteComponents"),
            ("InventoryCollection", "CollectImageMetadata"),
            ("RunSanitizeScript", "SanitizeInstance"),
            ("CreateOutputAMI", "CreateImage"),
            ("TerminateBuildInstance", "TerminateInstance"),
        ],
    ),
    "test-image": (
        "test",
        [
            ("LaunchTestInstance", "LaunchInstance"),
            ("CollectImageScanFindings", "CollectImageScanFindings"),
            ("ApplyTestComponents", "ExecuteComponents"),
            ("TerminateTestInstance", "TerminateInstance"),
        ],
    ),
    "distribute-image": (
        "distribution",
        [
            ("DistributeOutputImage", "DistributeImage"),
            ("ApplyOutputImageConfigurations", "ApplyImageConfigurations"),
        ],
    ),
    "build-container": (
        "build",
        [
            ("LaunchBuildInstance", "LaunchInstance"),
            ("BootstrapBuildInstance", "BootstrapInstanceForContainer"),
            ("ApplyBuildComponents", "ExecuteComponents"),
            ("TerminateBuildInstance", "TerminateInstance"),
        ],
    ),
    "test-container": (
        "test",
        [
            ("LaunchTestInstance", "LaunchInstance"),
            ("BootstrapTestInstance", "BootstrapInstanceForContainer"),
            ("ApplyTestComponents", "ExecuteComponents"),
            ("TerminateTestInstance", "TerminateInstance"),
        ],
    ),
    "distribute-container": ("distribution", [("DistributeOutputContainer", "DistributeImage")]),
}
"""Amazon's own workflows."""


@dataclass
class StepRun:
    """A step of a workflow that runs."""

    name: str
    action: str
    status: str = "PENDING"
    message: str = ""
    outputs: str = "{}"
    started: float | None = None
    ended: float | None = None
    id: str = field(default_factory=lambda: f"step-{uuid.uuid4()}")

    def told(self) -> Body:
        """As the service tells it."""
        about: Body = {
            "stepExecutionId": self.id,
            "name": self.name,
            "action": self.action,
            "status": self.status,
            "message": self.message[:500],
            "inputs": "{}",
            "outputs": self.outputs,
            "attemptNumber": 1,
            "maxAttempts": 1,
        }
        return about | _times(self.started, self.ended)


@dataclass
class Execution:
    """A workflow that runs for an image."""

    arn: str
    image: str
    kind: str  # BUILD, TEST or DISTRIBUTION
    steps: list[StepRun]
    started: float
    ended: float | None = None
    status: str = "RUNNING"
    message: str = ""
    is_retried: bool = False
    id: str = field(default_factory=lambda: f"wf-{uuid.uuid4()}")

    def told(self) -> Body:
        """As the service tells it."""
        states = [step.status for step in self.steps]
        about: Body = {
            "workflowBuildVersionArn": self.arn,
            "workflowExecutionId": self.id,
            "imageBuildVersionArn": self.image,
            "type": self.kind,
            "status": self.status,
            "message": self.message[:500],
            "totalStepCount": len(states),
            "totalStepsSucceeded": states.count("COMPLETED"),
            "totalStepsFailed": states.count("FAILED"),
            "totalStepsSkipped": states.count("SKIPPED"),
            "retried": self.is_retried,
        }
        return about | _times(self.started, self.ended)

    def step(self, *actions: str) -> StepRun | None:
        """The first step with one of the actions."""
        return next((step for step in self.steps if step.action in actions), None)

    def go_on(self, share: float, now: float) -> None:
        """Steps that have begun when a share of the time is over."""
        current = min(int(share * len(self.steps)), len(self.steps) - 1)
        for index, step in enumerate(self.steps[: current + 1]):
            if step.started is None:
                step.started = now
            if index < current:
                self._end(step, "COMPLETED", now)
            elif step.status == "PENDING":
                step.status = "RUNNING"

    def complete(self, now: float) -> None:
        """All steps have been done."""
        for step in self.steps:
            self._end(step, "COMPLETED", now)
        self.status, self.ended = "COMPLETED", now

    def fail(self, failed: StepRun | None, message: str, now: float) -> None:
        """A step has failed; those after it are skipped, but the instance is terminated."""
        self.status, self.ended, self.message = "FAILED", now, message
        found = False
        for step in self.steps:
            if step is failed:
                found, step.message = True, message
                self._end(step, "FAILED", now)
            elif not found or step.action == "TerminateInstance":
                self._end(step, "COMPLETED", now)
            else:
                self._end(step, "SKIPPED", now)

    def cancel(self, now: float) -> None:
        """The image is not wanted any more."""
        self.status, self.ended = "CANCELLED", now
        for step in self.steps:
            if step.status in ("PENDING", "RUNNING"):
                self._end(step, "CANCELLED", now)

    def _end(self, step: StepRun, status: str, now: float) -> None:
        if step.ended is None:
            step.status, step.ended = status, now
            step.started = now if step.started is None else step.started


def steps_of(data: str) -> list[tuple[str, str]]:
    """The names and actions of the steps in a workflow's document; refused if it breaks the rules."""
    try:
        content = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise invalid("data", f"The workflow is not YAML: {error}") from None
    if not isinstance(content, dict) or str(content.get("schemaVersion")) not in ("1.0", "1"):
        raise invalid("data", "The workflow must be a mapping whose schemaVersion is 1.0")
    steps = content.get("steps")
    if not isinstance(steps, list) or not steps:
        raise invalid("data", "The workflow has no steps")
    found = []
    for step in steps:
        name, action = (step.get("name"), step.get("action")) if isinstance(step, dict) else (None, None)
        if not name or action not in ACTIONS:
            raise invalid("data", f"The workflow's step '{name}' has no action that there is: {action}")
        found.append((str(name), str(action)))
    return found


def managed_arn(region: str, name: str) -> str:
    """The name of one of Amazon's workflows."""
    kind, _ = MANAGED[name]
    return f"arn:aws:imagebuilder:{region}:aws:workflow/{kind}/{name}/1.0.2/1"


def _times(started: float | None, ended: float | None) -> Body:
    times: Body = {}
    if started is not None:
        times["startTime"] = date(started)
    if ended is not None:
        times["endTime"] = date(ended)
    return times
