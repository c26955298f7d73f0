"""What Image Builder knows of an image beside its state: steps and their log, findings, packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from imgbake.api import BakeError
from imgbake_image_builder import logs
from imgbake_image_builder.resources import Body
from imgbake_image_builder.running import Image
from imgbake_image_builder.service import Service, pause

_SCANNING = "CollectImageScanFindings"


def tell(found: Service, image: Image, log: Callable[[str], None], check: Callable[[], None]) -> list[Body]:
    """Logs which steps of an image failed, and how; the findings, if it was a scan that refused it.

    What can't be read is said, and keeps nobody from the reason of the failure.
    """
    refused: list[Body] = []
    try:
        steps = list(_failed_steps(found, image.arn))
        for step in steps:
            log(f"-- step {step.get('name')} ({step.get('action')}) failed: {_message(step)}")
            if (outputs := step.get("outputs", "")) not in ("", "{}"):
                log(f"it gave {outputs}")
        if any(step.get("action") == _SCANNING for step in steps):
            refused = list(findings(found, image.arn))
        for line in _log(found, image, check):
            log(line)
    except BakeError as error:
        log(f"no more is known of the failure: {error.message}")
    return refused


def findings(found: Service, arn: str) -> Iterator[Body]:
    """What scans have found in an image. Raises Refused."""
    filters = [{"name": "imageBuildVersionArn", "values": [arn]}]
    return found.all("ListImageScanFindings", arn, "findings", {"filters": filters})


def packages(found: Service, arn: str) -> Iterator[Body]:
    """The packages of an image, if its metadata were collected. Raises Refused."""
    return found.all("ListImagePackages", arn, "imagePackageList", {"imageBuildVersionArn": arn})


def _failed_steps(found: Service, arn: str) -> Iterator[Body]:
    runs = found.all("ListWorkflowExecutions", arn, "workflowExecutions", {"imageBuildVersionArn": arn})
    for run in runs:
        if run.get("status") != "FAILED" or run.get("retried"):
            continue
        which = {"workflowExecutionId": run["workflowExecutionId"]}
        for step in found.all("ListWorkflowStepExecutions", arn, "steps", which):
            if step.get("status") == "FAILED":
                wanted = {"stepExecutionId": step["stepExecutionId"]}
                yield found.call("GetWorkflowStepExecution", arn, wanted)


def _message(step: Body) -> str:
    return str(step.get("message") or "no reason is given")


def _log(found: Service, image: Image, check: Callable[[], None]) -> list[str]:
    """The end of what the machines wrote, which Image Builder keeps in CloudWatch."""
    _, name, version = image.arn.split("/", 2)
    group = image.get("loggingConfiguration", {}).get("logGroupName") or f"/aws/imagebuilder/{name}"
    lines = logs.end_of(found.region, found.profile, group, version, lambda wait: pause(wait, check))
    return [f"-- the end of {group} {version}", *lines] if lines else []
