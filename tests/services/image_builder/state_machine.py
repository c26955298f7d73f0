"""The life of an image: from PENDING to AVAILABLE, FAILED or CANCELLED, and what it does on its way."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import documents
from .arns import Arn
from .clock import Clock, date
from .cloud import Cloud, Trouble
from .distribution import Distributor, RegionFailed
from .errors import Refused
from .faults import ComponentFails, Faults, ScanFinds
from .store import Resource, Store
from .workflows import MANAGED, Execution, StepRun, managed_arn, steps_of

Body = dict[str, Any]
STATES = ("PENDING", "CREATING", "BUILDING", "TESTING", "DISTRIBUTING", "INTEGRATING", "AVAILABLE")
DONE = {"AVAILABLE", "CANCELLED", "FAILED", "DEPRECATED", "DELETED", "DISABLED"}
RETRIED = ("TESTING", "DISTRIBUTING", "INTEGRATING")
_WORKFLOW = {
    "BUILDING": "BUILD",
    "TESTING": "TEST",
    "DISTRIBUTING": "DISTRIBUTION",
    "INTEGRATING": "DISTRIBUTION",
}
_SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
_PHASES = {"BUILDING": ("build", "validate"), "TESTING": ("test", "container-host-test")}


class Failed(Exception):
    """A state came to a bad end: what to tell, and where it happened."""

    def __init__(self, message: str, step: str = "", context: Body | None = None) -> None:
        super().__init__(message)
        self.message, self.step, self.context = message, step, context or {}


@dataclass
class Build:
    """An image that is made, or has been."""

    image: Resource
    plan: list[str]
    recipe: Body
    infrastructure: Body
    distribution: Body | None = None
    workflows: list[Resource] = field(default_factory=list)
    ami: str = ""  # what was built, in the image's own region
    status: str = ""
    stopped: str = ""  # the state before this one
    since: float = 0.0
    instance: str = ""
    executions: list[Execution] = field(default_factory=list)

    @property
    def is_container(self) -> bool:
        return bool(self.image.body["type"] == "DOCKER")

    @property
    def region(self) -> str:
        return self.image.arn.region

    @property
    def execution(self) -> Execution | None:
        """The workflow that runs."""
        running = [execution for execution in self.executions if execution.status == "RUNNING"]
        return running[-1] if running else None


class Builds:
    """Moves all images on, as time goes by."""

    def __init__(
        self, store: Store, cloud: Cloud, faults: Faults, clock: Clock, pace: Mapping[str, float]
    ) -> None:
        self._store, self._cloud, self._faults, self._clock = store, cloud, faults, clock
        self._distributor = Distributor(cloud, faults)
        self.pace = dict(pace)
        self.all: dict[str, Build] = {}
        self.lock = threading.RLock()

    def start(self, build: Build) -> None:
        """Begins an image."""
        self.all[str(build.image.arn)] = build
        self._enter(build, build.plan[0], self._clock.now())

    def advance(self) -> None:
        """Lets everything happen that is due."""
        with self.lock:
            for build in list(self.all.values()):
                self._advance(build)

    def due(self) -> float | None:
        """When the next thing happens."""
        with self.lock:
            moments = [build.since + self._lasts(build) for build in self.all.values() if not _is_done(build)]
        return min(moments, default=None)

    def cancel(self, build: Build) -> None:
        """Stops an image. What it made stays."""
        if _is_done(build):
            raise Refused(
                "InvalidRequestException",
                f"The image '{build.image.arn}' is in state {build.status} and can't be cancelled.",
            )
        if build.execution:
            build.execution.cancel(self._clock.now())
        self._terminate(build)
        self._tell(build, "CANCELLED", self._clock.now(), {"reason": "The image build was cancelled."})

    def retry(self, build: Build) -> None:
        """Goes on in the state in which an image failed: its tests, or its distribution."""
        if build.stopped not in RETRIED:
            raise Refused(
                "InvalidRequestException",
                f"The image '{build.image.arn}' stopped in state {build.stopped}; only what failed in "
                f"{', '.join(RETRIED)} can be retried.",
            )
        for execution in build.executions:
            if execution.status in ("FAILED", "CANCELLED"):
                execution.is_retried = True
        self._enter(build, build.stopped, self._clock.now())

    def _advance(self, build: Build) -> None:
        while not _is_done(build):
            now, ends = self._clock.now(), build.since + self._lasts(build)
            if now < ends:
                if build.execution:
                    build.execution.go_on(_share(build, (now - build.since) / self._lasts(build)), now)
                return
            try:
                self._leave(build, ends)
                self._enter(build, build.plan[build.plan.index(build.status) + 1], ends)
            except Failed as failure:
                self._fail(build, failure, ends)

    def _lasts(self, build: Build) -> float:
        return self.pace.get(build.status, 0.0)

    def _enter(self, build: Build, status: str, now: float) -> None:
        self._tell(build, status, now)
        kind = _WORKFLOW.get(status)
        if kind and build.execution is None:
            build.executions.append(self._execution(build, kind, now))
        try:
            if status in ("BUILDING", "TESTING"):
                self._launch(build, status)
        except Trouble as trouble:
            self._fail(build, Failed(str(trouble), "LaunchInstance"), now)

    def _leave(self, build: Build, now: float) -> None:
        try:
            if build.status in _PHASES:
                self._run_components(build)
            if build.status == "BUILDING":
                self._make(build)
            if build.status == "TESTING":
                self._scan(build)
            if build.status in ("BUILDING", "TESTING"):
                self._end_instance(build)
            if build.status == "DISTRIBUTING":
                self._distributor.distribute(build.image, build.recipe, build.distribution, build.ami)
            if build.status == "INTEGRATING":
                self._distributor.integrate(build.image, build.distribution)
        except Trouble as trouble:
            step = "CreateImage" if build.status == "BUILDING" else ""
            raise Failed(str(trouble), step) from None
        except RegionFailed as failed:
            step = "DistributeImage" if build.status == "DISTRIBUTING" else "ApplyImageConfigurations"
            raise Failed(failed.message, step, {"distributionFailure": failed.context}) from None
        if build.execution and build.status != "DISTRIBUTING":  # its workflow goes on
            build.execution.complete(now)

    def _execution(self, build: Build, kind: str, now: float) -> Execution:
        """The workflow of a state: the user's own, or Amazon's."""
        own = next((flow for flow in build.workflows if flow.body["type"] == kind), None)
        if own is not None:
            arn, steps = str(own.arn), steps_of(own.body["data"])
        else:
            verb = {"BUILD": "build", "TEST": "test", "DISTRIBUTION": "distribute"}[kind]
            name = f"{verb}-{'container' if build.is_container else 'image'}"
            arn, steps = managed_arn(build.region, name), MANAGED[name][1]
        runs = [StepRun(name, action) for name, action in steps]
        return Execution(arn, str(build.image.arn), kind, runs, now)

    def _launch(self, build: Build, status: str) -> None:
        """Starts the instance that builds, or the one that tests."""
        is_test = status == "TESTING"
        where = build.recipe.get("instanceConfiguration", {}) if build.is_container else build.recipe
        image = build.ami if is_test and not build.is_container else self._parent(build, where)
        devices = [] if is_test else where.get("blockDeviceMappings", [])
        tags = {
            **build.infrastructure.get("resourceTags", {}),
            "Name": f"{'Test' if is_test else 'Build'} instance for {build.image.body['name']}",
            "CreatedBy": "EC2 Image Builder",
            "Ec2ImageBuilderArn": str(build.image.arn),
        }
        build.instance = self._cloud.launch(build.region, image, build.infrastructure, devices, tags)
        if build.execution and (step := build.execution.step("LaunchInstance")):
            step.outputs = json.dumps({"instanceId": build.instance})

    def _parent(self, build: Build, where: Body) -> str:
        """The AMI that a build starts from."""
        parent = where.get("image") if build.is_container else where["parentImage"]
        if parent is None:
            return self._cloud.base(build.region)
        if parent.startswith("ssm:"):
            return self._cloud.parameter(build.region, parent.removeprefix("ssm:"))
        if not parent.startswith("arn:"):
            return str(parent) if parent.startswith("ami-") else self._cloud.base(build.region)
        found = self._store.get(Arn.read(parent))
        amis = found.body.get("outputResources", {}).get("amis", [])
        own = [ami["image"] for ami in amis if ami["region"] == build.region]
        return str(own[0]) if own else self._cloud.base(build.region)

    def _run_components(self, build: Build) -> None:
        """Fails where a fault says so."""
        for used in build.recipe.get("components", []):
            component = self._store.get(Arn.read(used["componentArn"]))
            document = documents.read(component.body["data"])
            phases = {name: document.phases.get(name, []) for name in _PHASES[build.status]}
            for fault in self._faults.of(ComponentFails):
                found = _where(fault, component, phases)
                if found and self._faults.spend(fault):
                    raise _component_failed(fault, component, *found, build.status)

    def _scan(self, build: Build) -> None:
        """Fails an image in which faults find more than its condition allows."""
        scanning = build.image.body.get("imageScanningConfiguration", {})
        if not scanning.get("imageScanningEnabled"):
            return
        found = [fault for fault in self._faults.of(ScanFinds) if self._faults.spend(fault)]
        build.image.findings = [_finding(fault) for fault in found]
        condition = scanning.get("scanResultCondition")
        if condition is None:
            return
        most = _SEVERITIES.index(condition["maximumSeverityLabel"])
        counted = [fault for fault in found if fault.has_fix or not condition.get("fixAvailable", True)]
        if any(_SEVERITIES.index(fault.severity) > most for fault in counted):
            message = f"Findings are more severe than {condition['maximumSeverityLabel']}."
            raise Failed(message, "CollectImageScanFindings")

    def _make(self, build: Build) -> None:
        if build.is_container:
            return
        name, about, tags = self._distributor.own(build.image, build.recipe, build.distribution)
        build.ami = self._cloud.create(build.region, build.instance, name, about, tags)
        self._distributor.say(build.image, build.region, build.ami, name, about)

    def _end_instance(self, build: Build) -> None:
        if build.infrastructure.get("terminateInstanceOnCompletion", True):
            self._terminate(build)
        build.instance = ""

    def _terminate(self, build: Build) -> None:
        if build.instance:
            self._cloud.terminate(build.region, build.instance)
            build.instance = ""

    def _fail(self, build: Build, failure: Failed, now: float) -> None:
        if build.infrastructure.get("terminateInstanceOnFailure", True):
            self._terminate(build)
        context: Body = {"imageStatus": build.status, **failure.context}
        reason = failure.message
        if execution := build.execution:
            step = execution.step(failure.step) or execution.steps[-1]
            execution.fail(step, failure.message, now)
            context |= {
                "workflowExecutionId": execution.id,
                "workflowArn": execution.arn,
                "stepExecutionId": step.id,
                "failedStep": step.name,
            }
            reason = f"Workflow Execution ID: '{execution.id}' failed with reason: {failure.message}"
        self._tell(build, "FAILED", now, {"reason": reason[:1024], "failureContext": context})

    def _tell(self, build: Build, status: str, now: float, more: Body | None = None) -> None:
        build.stopped = build.status
        build.status, build.since = status, now
        build.image.body["state"] = {"status": status, **(more or {})}
        pipeline = build.image.body.get("sourcePipelineArn")
        found = self._store.find(Arn.read(pipeline)) if pipeline else None
        if found is not None:
            found.body |= {"lastRunStatus": status, "dateLastRun": date(now)}
            if status in ("FAILED", "AVAILABLE"):
                failures = found.body.get("consecutiveFailures", 0)
                found.body["consecutiveFailures"] = failures + 1 if status == "FAILED" else 0


def _is_done(build: Build) -> bool:
    return build.status in DONE


def _share(build: Build, share: float) -> float:
    """How much of a workflow is done, when so much of a state is. Distribution takes two states."""
    states = [state for state in build.plan if _WORKFLOW.get(state) == _WORKFLOW.get(build.status)]
    return (states.index(build.status) + share) / len(states)


def _where(
    fault: ComponentFails, component: Resource, phases: Mapping[str, list[documents.Step]]
) -> tuple[str, documents.Step] | None:
    """The phase and the step in which a component fails, if it is its turn."""
    if fault.component not in (component.body["name"], component.arn.name, str(component.arn)):
        return None
    for phase, steps in phases.items():
        for step in steps:
            if fault.phase in ("", phase) and fault.step in ("", step.name):
                return phase, step
    return None


def _finding(fault: ScanFinds) -> Body:
    package = {"name": fault.package, "version": "1.0"}
    details = {"vulnerabilityId": fault.title, "source": "NVD", "vulnerablePackages": [package]}
    return {
        "title": f"{fault.title} - {fault.package}",
        "severity": fault.severity,
        "fixAvailable": "YES" if fault.has_fix else "NO",
        "packageVulnerabilityDetails": details,
    }


def _component_failed(
    fault: ComponentFails, component: Resource, phase: str, step: documents.Step, status: str
) -> Failed:
    context = {
        "componentArn": str(component.arn),
        "phaseName": phase,
        "stepName": step.name,
        "action": fault.action or step.action,
        "errorMessage": fault.message,
    }
    message = (
        f"SSM execution failed with status = 'Failed' in state = '{status}' and failure message = "
        f"'Document {component.arn} failed! Step {step.name} in phase {phase}: {fault.message}'"
    )
    return Failed(message, "ExecuteComponents", {"componentFailure": context})
