"""What is said of a pod that does not get on."""

from __future__ import annotations

from typing import Any

import pytest

from imgbake_kaniko import pods


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    container = {"name": "kaniko", "image": "shop:1", "state": state or {}}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [container], **status}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pod({"waiting": {"reason": reason, "message": message}})


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return pod({"terminated": {"exitCode": code, "reason": reason, "message": message}}, phase="Failed")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            waiting("ImagePullBackOff", "not found"),
            "the cluster can't pull shop:1 (ImagePullBackOff): not found",
        ),
        (waiting("InvalidImageName"), "shop:1 is no name of an image (InvalidImageName)"),
        (
            waiting("CreateContainerConfigError", 'secret "a" not found'),
            "the container 'kaniko' can't be set up (CreateContainerConfigError): secret \"a\" not found",
        ),
        (
            waiting("CrashLoopBackOff"),
            "the container 'kaniko' fails again and again (CrashLoopBackOff)",
        ),
        (ended(137, "OOMKilled"), "'kaniko' ran out of memory (OOMKilled)"),
        (ended(137), "'kaniko' exited with code 137: it was killed"),
        (ended(1), "'kaniko' exited with code 1"),
        (
            pod(phase="Failed", reason="Evicted", message="low on resource: memory"),
            "the node has evicted the pod: low on resource: memory",
        ),
        (pod(phase="Failed", reason="DeadlineExceeded"), "the cluster has ended the pod at its deadline"),
        (pod(phase="Failed", reason="NodeLost"), "the pod has failed: NodeLost"),
    ],
)
def test_what_ends_a_pod_is_explained(found: dict[str, Any], message: str) -> None:
    error = pods.trouble(found, ("last line",))
    assert error is not None
    assert error.message == message


@pytest.mark.parametrize(
    "found",
    [pod(), waiting("ContainerCreating"), waiting("ErrImagePull"), ended(0, "Completed") | {"status": {}}],
)
def test_what_may_still_go_on_is_no_trouble(found: dict[str, Any]) -> None:
    assert pods.trouble(found) is None


def test_why_a_pod_waits_is_said_in_the_clusters_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    mount = {"type": "Warning", "reason": "FailedMount", "message": "no volume", "lastTimestamp": "2"}
    older = {"type": "Warning", "reason": "FailedCreate", "message": "quota", "lastTimestamp": "1"}
    normal = {"type": "Normal", "reason": "Pulled", "message": "ok", "lastTimestamp": "3"}
    assert pods.delay(pod(conditions=[condition]), []) == "Unschedulable: 0/3 nodes"
    claim = {"kind": "PersistentVolumeClaim"}
    unbound = {"type": "Warning", "message": 'class "fast" not found', "involvedObject": claim}
    found = pods.delay(pod(conditions=[condition]), [mount, unbound])
    assert found == 'Unschedulable: 0/3 nodes class "fast" not found'
    assert pods.delay(pod(), [mount, older, normal]) == "FailedMount: no volume"
    assert pods.delay(waiting("ErrImagePull", "timeout"), []) == "ErrImagePull: timeout"
    assert pods.delay(None, [older]) == "FailedCreate: quota"
    assert pods.delay(None, []) == ""
