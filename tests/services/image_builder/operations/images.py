"""Images: their making, and what is told of them."""

from __future__ import annotations

from ..arns import Arn
from ..call import Call, Values, by, owned
from ..errors import Refused, depended_on, invalid
from ..state_machine import DONE, STATES, Build
from ..store import Resource
from .components import versions
from .pipelines import check_run

_FILTERS = by("name", "osVersion", "platform", "type", "version")
_KEPT = (
    "enhancedImageMetadataEnabled",
    "executionRole",
    "imageScanningConfiguration",
    "imageTestsConfiguration",
    "loggingConfiguration",
    "workflows",
)


def create(call: Call) -> Values:
    """A new build version of the image that the recipe names."""
    check_run(call)
    image = _start(call, call.params, call.params.get("tags", {}), {})
    return {"imageBuildVersionArn": str(image.arn), "latestVersionReferences": call.store.latest(image.arn)}


def start_pipeline(call: Call) -> Values:
    """A new image of what the pipeline names."""
    pipeline = call.get("imagePipelineArn")
    running = [
        build
        for build in call.builds.all.values()
        if build.image.body.get("sourcePipelineArn") == str(pipeline.arn) and build.status not in DONE
    ]
    if running:
        raise Refused(
            "ResourceInUseException",
            f"The pipeline '{pipeline.arn}' is building '{running[0].image.arn}' already.",
        )
    tags = {**pipeline.body.get("imageTags", {}), **call.params.get("tags", {})}
    source = {"sourcePipelineArn": str(pipeline.arn), "sourcePipelineName": pipeline.body["name"]}
    logging = pipeline.body.get("loggingConfiguration", {})
    if "imageLogGroupName" in logging:
        source["loggingConfiguration"] = {"logGroupName": logging["imageLogGroupName"]}
    return {"imageBuildVersionArn": str(_start(call, pipeline.body, tags, source).arn)}


def _start(call: Call, asked: Values, tags: Values, more: Values) -> Resource:
    recipe = call.named(asked.get("imageRecipeArn") or asked["containerRecipeArn"])
    infrastructure = call.named(asked["infrastructureConfigurationArn"])
    distribution = asked.get("distributionConfigurationArn")
    where = call.named(distribution) if distribution else None
    flows = [call.named(used["workflowArn"]) for used in asked.get("workflows", [])]
    tests = asked.get("imageTestsConfiguration", {}).get("imageTestsEnabled", True)
    if flows:
        tests = any(flow.body["type"] == "TEST" for flow in flows)
    plan = [state for state in STATES if tests or state != "TESTING"]
    body = {
        "type": "DOCKER" if recipe.arn.kind == "container-recipe" else "AMI",
        "name": recipe.body["name"],
        "platform": recipe.body["platform"],
        "buildType": "USER_INITIATED",
        "imageSource": "CUSTOM",
        "containerRecipe" if recipe.arn.kind == "container-recipe" else "imageRecipe": recipe.body,
        "infrastructureConfiguration": infrastructure.body,
        "distributionConfiguration": where.body if where else None,
        "enhancedImageMetadataEnabled": True,
        **{key: asked[key] for key in _KEPT if key in asked},
        "tags": dict(tags),
        **more,
    }
    image = _image(call, call.arn("image", recipe.arn.name, recipe.arn.version), body)
    build = Build(image, plan, recipe.body, infrastructure.body, where.body if where else None, flows)
    call.builds.start(build)
    return image


def _image(call: Call, arn: Arn, body: Values) -> Resource:
    """Keeps a new image under the next number of its version."""
    made = arn.at(arn.version, call.store.next_build(arn))
    body |= {
        "version": f"{made.version}/{made.build}",
        "owner": call.account,
        "dateCreated": call.today,
        "outputResources": {},
    }
    image = Resource(made, body)
    call.store.add(image)
    return image


def distribute(call: Call) -> Values:
    """Brings an AMI that is there to where a configuration says."""
    where = call.get("distributionConfigurationArn")
    source = call.params["sourceImage"]
    name, version, ami = "distributed-image", "1.0.0", source
    if source.startswith("arn:"):
        image = call.named(source)
        name, version = image.arn.name, image.arn.version
        here = [ami for ami in image.body["outputResources"].get("amis", []) if ami["region"] == call.region]
        if not here:
            raise invalid("sourceImage", f"'{source}' has no AMI in {call.region}")
        ami = here[0]["image"]
    elif source.startswith("ssm:"):
        ami = call.cloud.parameter(call.region, source.removeprefix("ssm:"))
    elif not source.startswith("ami-"):
        raise invalid("sourceImage", f"'{source}' is no AMI, SSM parameter or image")
    body = {
        "type": "AMI",
        "name": name,
        "platform": "Linux",
        "buildType": "USER_INITIATED",
        "distributionConfiguration": where.body,
        "executionRole": call.params["executionRole"],
        "tags": call.params.get("tags", {}),
    }
    made = _image(call, call.arn("image", name, version), body)
    plan = ["PENDING", "DISTRIBUTING", "INTEGRATING", "AVAILABLE"]
    call.builds.start(Build(made, plan, {}, {}, where.body, ami=ami))
    return {"imageBuildVersionArn": str(made.arn)}


def get(call: Call) -> Values:
    """One image; with wildcards or without a build, the newest."""
    found = call.get("imageBuildVersionArn")
    return {"image": found.body, "latestVersionReferences": call.store.latest(found.arn)}


def listed(call: Call) -> Values:
    """One entry for each version, or with byName one for each name."""
    if call.params.get("byName") and any(f.get("name") == "version" for f in call.params.get("filters", [])):
        raise invalid("byName", "'byName' can't be combined with the filter version")
    found = [
        {**image, "version": image["version"].partition("/")[0]}
        for image in versions(call, "image", bool(call.params.get("byName")))
        if call.params.get("includeDeprecated") or image["status"] != "DEPRECATED"
    ]
    return call.page("imageVersionList", found, _FILTERS)


def build_versions(call: Call) -> Values:
    """All builds of a version."""
    wanted = call.params.get("imageVersionArn")
    found = [
        image.body
        for image in owned(call.store.of("image", call.region), None, call.account)
        if wanted in (None, str(image.arn.at(image.arn.version)))
    ]
    return call.page("imageSummaryList", found, _FILTERS)


def of_pipeline(call: Call) -> Values:
    """What a pipeline has made."""
    pipeline = str(call.get("imagePipelineArn").arn)
    images = call.store.of("image", call.region)
    found = [image.body for image in images if image.body.get("sourcePipelineArn") == pipeline]
    return call.page("imageSummaryList", found, by("name", "version"))


def cancel(call: Call) -> Values:
    """Stops a build."""
    build = _build(call)
    call.builds.cancel(build)
    return {"imageBuildVersionArn": str(build.image.arn)}


def retry(call: Call) -> Values:
    """Goes on with a build where it failed."""
    build = _build(call)
    if build.is_container:
        raise Refused("InvalidRequestException", "Only images that are AMIs can be retried.")
    if build.status not in ("FAILED", "CANCELLED"):
        raise Refused(
            "InvalidRequestException",
            f"The image '{build.image.arn}' is in state {build.status}; only one that failed or was "
            "cancelled can be retried.",
        )
    call.builds.retry(build)
    return {"imageBuildVersionArn": str(build.image.arn)}


def _build(call: Call) -> Build:
    image = call.get("imageBuildVersionArn")
    found = call.builds.all.get(str(image.arn))
    if found is None:
        raise Refused("InvalidRequestException", f"'{image.arn}' was not built in this account.")
    return found


def delete(call: Call) -> Values:
    """The AMIs and containers that came out stay."""
    image = call.get("imageBuildVersionArn")
    if image.body["state"]["status"] not in DONE:
        raise Refused(
            "ResourceDependencyException", f"The image '{image.arn}' is being built; cancel it before."
        )
    for recipe in call.store.of("image-recipe", call.region):
        if recipe.body["parentImage"] == str(image.arn):
            raise depended_on(image.arn, recipe.arn)
    call.store.remove(image)
    call.builds.all.pop(str(image.arn), None)
    return {"imageBuildVersionArn": str(image.arn)}


OPERATIONS = {
    "CreateImage": create,
    "StartImagePipelineExecution": start_pipeline,
    "DistributeImage": distribute,
    "GetImage": get,
    "ListImages": listed,
    "ListImageBuildVersions": build_versions,
    "ListImagePipelineImages": of_pipeline,
    "CancelImageCreation": cancel,
    "RetryImage": retry,
    "DeleteImage": delete,
}
