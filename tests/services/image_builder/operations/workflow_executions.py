"""The workflows that run for images, and their steps."""

from __future__ import annotations

from ..call import Call, Values
from ..errors import Refused
from ..workflows import Execution, StepRun


def listed(call: Call) -> Values:
    """The workflows of an image."""
    image = call.get("imageBuildVersionArn")
    build = call.builds.all.get(str(image.arn))
    found = [execution.told() for execution in build.executions] if build else []
    return {"imageBuildVersionArn": str(image.arn), **call.page("workflowExecutions", found)}


def get(call: Call) -> Values:
    """One workflow of an image."""
    told = _execution(call, call.params["workflowExecutionId"]).told()
    return {key: value for key, value in told.items() if key != "retried"}


def steps(call: Call) -> Values:
    """The steps of a workflow."""
    execution = _execution(call, call.params["workflowExecutionId"])
    about = {
        "workflowBuildVersionArn": execution.arn,
        "workflowExecutionId": execution.id,
        "imageBuildVersionArn": execution.image,
        "message": execution.message[:500],
    }
    return {**about, **call.page("steps", [step.told() for step in execution.steps])}


def step(call: Call) -> Values:
    """One step."""
    wanted = call.params["stepExecutionId"]
    for execution in _executions(call):
        for run in execution.steps:
            if run.id == wanted:
                return _step(execution, run)
    raise Refused("ResourceNotFoundException", f"There is no step '{wanted}'.")


def _step(execution: Execution, run: StepRun) -> Values:
    about = {
        "workflowBuildVersionArn": execution.arn,
        "workflowExecutionId": execution.id,
        "imageBuildVersionArn": execution.image,
        "onFailure": "Abort",
        "timeoutSeconds": 43200,
    }
    return {**run.told(), **about}


def _execution(call: Call, wanted: str) -> Execution:
    for execution in _executions(call):
        if execution.id == wanted:
            return execution
    raise Refused("ResourceNotFoundException", f"There is no workflow execution '{wanted}'.")


def _executions(call: Call) -> list[Execution]:
    builds = [build for build in call.builds.all.values() if build.region == call.region]
    return [execution for build in builds for execution in build.executions]


OPERATIONS = {
    "ListWorkflowExecutions": listed,
    "GetWorkflowExecution": get,
    "ListWorkflowStepExecutions": steps,
    "GetWorkflowStepExecution": step,
}
