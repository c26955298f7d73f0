"""Workflows that users write."""

from __future__ import annotations

from ..call import Call, Values, by
from ..errors import depended_on, exists, invalid
from ..store import Resource
from ..versions import Version, normalised
from ..workflows import steps_of
from .components import versions

_CONTENT = ("data", "description", "kmsKeyId")


def create(call: Call) -> Values:
    """A new build version, unless nothing has changed."""
    data = call.text("data", "uri")
    steps_of(data)
    version = str(Version.read(call.params["semanticVersion"]))
    kind = f"workflow/{call.params['type'].lower()}"
    arn = call.arn(kind, normalised(call.params["name"]), version)
    body = call.body("uri") | {"data": data, "version": version, "owner": call.account}
    latest = call.store.find(arn)
    if latest and all(latest.body.get(key) == body.get(key) for key in _CONTENT):
        raise exists("Workflow", latest.arn)
    call.ready()
    made = arn.at(version, call.store.next_build(arn))
    call.store.add(Resource(made, body))
    return {"workflowBuildVersionArn": str(made), "latestVersionReferences": call.store.latest(made)}


def get(call: Call) -> Values:
    """One workflow; with wildcards or without a build, the newest."""
    found = call.get("workflowBuildVersionArn")
    return {"workflow": found.body, "latestVersionReferences": call.store.latest(found.arn)}


def listed(call: Call) -> Values:
    """One entry for each version, or with byName one for each name."""
    by_name = bool(call.params.get("byName"))
    if by_name and any(f.get("name") == "version" for f in call.params.get("filters", [])):
        raise invalid("byName", "'byName' can't be combined with the filter version")
    found = versions(call, "workflow", by_name)
    return call.page("workflowVersionList", found, by("name", "version", "description", "type"))


def build_versions(call: Call) -> Values:
    """All builds of a version."""
    wanted = call.params.get("workflowVersionArn")
    found = [
        flow.body
        for flow in call.store.of("workflow", call.region, call.account)
        if wanted in (None, str(flow.arn.at(flow.arn.version)))
    ]
    return call.page("workflowSummaryList", found)


def delete(call: Call) -> Values:
    """Refused while a pipeline uses it."""
    found = call.get("workflowBuildVersionArn")
    for pipeline in call.store.of("image-pipeline", call.region):
        if any(used["workflowArn"] == str(found.arn) for used in pipeline.body.get("workflows", [])):
            raise depended_on(found.arn, pipeline.arn)
    call.store.remove(found)
    return {"workflowBuildVersionArn": str(found.arn)}


OPERATIONS = {
    "CreateWorkflow": create,
    "GetWorkflow": get,
    "ListWorkflows": listed,
    "ListWorkflowBuildVersions": build_versions,
    "DeleteWorkflow": delete,
}
