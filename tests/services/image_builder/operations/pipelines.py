"""Image pipelines, and what else uses a resource."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..call import Call, Values, by
from ..errors import combination, exists, invalid
from ..state_machine import DONE
from ..store import Resource
from ..versions import normalised

_NAMED = (
    "imageRecipeArn",
    "containerRecipeArn",
    "infrastructureConfigurationArn",
    "distributionConfigurationArn",
)
_FIELD = r"[0-9A-Za-z*,/?LW#-]+"
_CRON = re.compile(rf"cron\(({_FIELD}) ({_FIELD}) ({_FIELD}) ({_FIELD}) ({_FIELD}) ?({_FIELD})?\)")
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")


def create(call: Call) -> Values:
    """A pipeline, which runs when it is started."""
    arn = call.arn("image-pipeline", normalised(call.params["name"]))
    body = {"status": "ENABLED", "enhancedImageMetadataEnabled": True, **_checked(call)}
    if call.store.find(arn):
        raise exists("ImagePipeline", arn)
    call.ready()
    call.store.add(Resource(arn, body | {"consecutiveFailures": 0}))
    return {"imagePipelineArn": str(arn)}


def _checked(call: Call) -> Values:
    """The body of a pipeline, if all that it names is there."""
    check_run(call)
    recipe = call.get(call.one_of("imageRecipeArn", "containerRecipeArn"))
    schedule = call.params.get("schedule", {})
    if "scheduleExpression" in schedule:
        _check_schedule(schedule["scheduleExpression"])
    return call.body("imagePipelineArn") | {"platform": recipe.body["platform"]}


def check_run(call: Call) -> None:
    """Refuses what neither an image nor a pipeline can be made with."""
    call.one_of("imageRecipeArn", "containerRecipeArn")
    for name in _NAMED:
        if name in call.params:
            call.get(name)
    for used in call.params.get("workflows", []):
        call.named(used["workflowArn"])
    if call.params.get("workflows") and "executionRole" not in call.params:
        raise combination("An executionRole must be specified with workflows.")
    scanning = call.params.get("imageScanningConfiguration", {})
    if "ecrConfiguration" in scanning and "containerRecipeArn" not in call.params:
        raise combination("ecrConfiguration is for container recipes only.")


def _check_schedule(expression: str) -> None:
    cron = _CRON.fullmatch(expression)
    if cron is None and _RATE.fullmatch(expression) is None:
        raise invalid(
            "schedule.scheduleExpression", "It must be cron(...) with five or six fields, or rate(...)"
        )
    if cron is not None and (cron[3] == "?") == (cron[5] == "?"):
        raise invalid(
            "schedule.scheduleExpression", "One of the day of the month and the day of the week must be ?"
        )


def update(call: Call) -> Values:
    """Replaces all but the name and the tags."""
    found = call.get("imagePipelineArn")
    kept = ("arn", "name", "tags", "dateCreated", "dateLastRun", "lastRunStatus", "consecutiveFailures")
    body = {"status": "ENABLED", "enhancedImageMetadataEnabled": True, **_checked(call)}
    found.body = {
        **body,
        **{key: found.body[key] for key in kept if key in found.body},
        "dateUpdated": call.today,
    }
    return {"imagePipelineArn": str(found.arn)}


def get(call: Call) -> Values:
    """One pipeline."""
    return {"imagePipeline": call.get("imagePipelineArn").body}


def listed(call: Call) -> Values:
    """All pipelines."""
    filters = by("description", "name", "status", *_NAMED)
    found = [resource.body for resource in call.store.of("image-pipeline", call.region)]
    return call.page("imagePipelineList", found, filters)


def delete(call: Call) -> Values:
    """The images that it made stay."""
    found = call.get("imagePipelineArn")
    call.store.remove(found)
    return {"imagePipelineArn": str(found.arn)}


def users(call: Call, used: Resource) -> Iterator[object]:
    """The pipelines that name a resource, and the images that are being built with it."""
    for pipeline in call.store.of("image-pipeline", call.region):
        if any(pipeline.body.get(name) == str(used.arn) for name in _NAMED):
            yield pipeline.arn
    for build in call.builds.all.values():
        parts = [build.recipe, build.infrastructure, build.distribution or {}]
        if build.status not in DONE and any(part.get("arn") == str(used.arn) for part in parts):
            yield build.image.arn


OPERATIONS = {
    "CreateImagePipeline": create,
    "UpdateImagePipeline": update,
    "GetImagePipeline": get,
    "ListImagePipelines": listed,
    "DeleteImagePipeline": delete,
}
