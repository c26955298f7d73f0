"""From a blueprint to what Image Builder is told. Pure.

    component-app.yaml     a document for each component (see imgbake_image_builder.components)
    image-recipe.yaml      or container-recipe.yaml: base, components in order, volumes
    distribution.yaml      where the image goes
    image.yaml             how it is tested and scanned, and by which workflows
    infrastructure.yaml    the machines: decide nothing, but for a pipeline that is to be kept up to date
    pipeline.yaml          a schedule
    files.yaml             what is in the archives that components download

All but the components are requests of Image Builder's API, with names where ARNs will stand.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from imgbake.api import BakeError, Blueprint, Layer, Lowered, Problem, RecipeError
from imgbake_image_builder import components, costs, distributions, existing, recipes, systems
from imgbake_image_builder.options import AmiOptions, Common, Options
from imgbake_image_builder.words import camel, in_words, is_said
from imgbake_oci.target import copy_document

INFRASTRUCTURE = "infrastructure.yaml"
PIPELINE = "pipeline.yaml"
_SCRATCH = "scratch"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 128


def lower(blueprint: Blueprint, options: Options) -> Lowered:
    """All that Image Builder is told. Raises BakeError for what it can't be."""
    _refuse(blueprint, options)
    documents = component_documents(blueprint, options)
    documents |= {name: components.yaml_text(body) for name, body in requests(blueprint, options).items()}
    archives = {
        components.archive_key(layer, options.bucket_prefix): [copy_document(each) for each in layer.files]
        for layer in blueprint.layers
        if layer.files
    }
    if archives:
        documents["files.yaml"] = components.yaml_text(archives)
    machines = {INFRASTRUCTURE: components.yaml_text(infrastructure(options))}
    makes = tuple(costs.makes(blueprint, options))
    if options.pipeline is None:
        return Lowered(documents, machines, makes)
    pipeline = {PIPELINE: components.yaml_text(pipeline_request(options))}
    return Lowered({**documents, **machines, **pipeline}, makes=makes)


def component_documents(blueprint: Blueprint, options: Options, *, limits: bool = False) -> dict[str, str]:
    """The documents of the components, by file name. Those that are in Image Builder already have none."""
    system = systems.find(options.os)
    found: dict[str, str] = {}
    for layer in recipes.used(blueprint):
        if layer.document is None:
            text = components.document(layer, system, options.bucket, options.bucket_prefix, limits=limits)
            found[document_name(layer)] = text
        elif layer.document.text:
            found[document_name(layer)] = layer.document.text
    return found


def requests(blueprint: Blueprint, options: Options) -> dict[str, dict[str, Any]]:
    """What decides besides components: recipe, distribution and image, by file name."""
    is_ami = isinstance(options, AmiOptions)
    found = {
        "image-recipe.yaml" if is_ami else "container-recipe.yaml": recipes.request(blueprint, options),
        "distribution.yaml": {"distributions": distributions.listed(blueprint, options)},
    }
    if image := image_request(options):
        found["image.yaml"] = image
    return found


def document_name(layer: Layer) -> str:
    """The file of a component's document."""
    return f"component-{layer.component}.yaml"


def resource_name(*words: str) -> str:
    """A name that Image Builder takes, made of words."""
    return _NOT_IN_NAMES.sub("-", "-".join(["imgbake", *words]))[:_LONGEST_NAME].rstrip("-")


def image_request(options: Common) -> dict[str, Any]:
    """CreateImage, of what it says of the image."""
    found: dict[str, Any] = {"imageTestsConfiguration": in_words(options.tests)}
    if options.enhanced_image_metadata is not None:
        found["enhancedImageMetadataEnabled"] = options.enhanced_image_metadata
    if options.scanning is not None:
        found["imageScanningConfiguration"] = in_words(options.scanning)
    if options.workflows:
        found["workflows"] = [
            in_words(msgspec.structs.replace(each, parameters={})) | _workflow_parameters(each.parameters)
            for each in options.workflows
        ]
    return found


def infrastructure(options: Common) -> dict[str, Any]:
    """CreateInfrastructureConfiguration."""
    names = (
        *("instance_types", "subnet_id", "security_group_ids", "key_pair", "terminate_instance_on_failure"),
        *("terminate_instance_on_completion", "sns_topic_arn", "resource_tags", "placement"),
    )
    found: dict[str, Any] = {"instanceProfileName": options.instance_profile}
    found |= {camel(name): in_words(value) for name in names if is_said(value := getattr(options, name))}
    metadata = {
        "httpTokens": options.http_tokens,
        "httpPutResponseHopLimit": options.http_put_response_hop_limit,
    }
    if any(is_said(value) for value in metadata.values()):
        found["instanceMetadataOptions"] = {name: value for name, value in metadata.items() if is_said(value)}
    if options.log_bucket:
        logs = {"s3BucketName": options.log_bucket, "s3KeyPrefix": options.log_prefix}
        found["logging"] = {"s3Logs": {name: value for name, value in logs.items() if value}}
    if options.auto_scaling_group is not None:
        found["parentInstance"] = {"autoScalingGroup": in_words(options.auto_scaling_group)}
    return found


def pipeline_request(options: Common) -> dict[str, Any]:
    """CreateImagePipeline, of what it says of the pipeline."""
    assert options.pipeline is not None
    found: dict[str, Any] = {"status": options.pipeline.status}
    if options.pipeline.schedule is not None:
        found["schedule"] = in_words(options.pipeline.schedule)
    if options.pipeline.description:
        found["description"] = options.pipeline.description
    return found


def _workflow_parameters(said: dict[str, str | tuple[str, ...]]) -> dict[str, Any]:
    if not said:
        return {}
    listed = [
        {"name": name, "value": [value] if isinstance(value, str) else list(value)}
        for name, value in said.items()
    ]
    return {"parameters": listed}


def _refuse(blueprint: Blueprint, options: Options) -> None:
    whose = f"image '{blueprint.image}'"
    if isinstance(options, AmiOptions) and blueprint.base.reference == _SCRATCH:
        message = f"{whose}: Image Builder can't start from nothing"
        raise BakeError(
            message, hint='write its base as an AMI\'s id, or { ami = { owner = "…", name = "…" } }'
        )
    seen: dict[str, str] = {}
    for layer in recipes.used(blueprint):
        folded = existing.same_name(existing.reference(layer) or resource_name(layer.component))
        if first := seen.get(folded):
            message = f"{whose}: the components '{first}' and '{layer.component}' are one to Image Builder"
            raise BakeError(message, hint="each is used once, whatever its version: remove one")
        seen[folded] = layer.component
        _refuse_document(layer, options)
        if layer.test and not options.tests.image_tests_enabled:
            message = f"component '{layer.component}' has tests, and `tests` of the target turns them off"
            raise BakeError(message, hint="remove one of the two")


def _refuse_document(layer: Layer, options: Options) -> None:
    """Of a document that a task has written, what the recipe's check could not see."""
    if layer.document is None:
        return
    problems = check_document(layer.document.source, layer.document.text, layer.document.params, options)
    if problems:
        raise RecipeError(problems)


def check_document(source: str, text: str, params: dict[str, str], options: Common) -> list[Problem]:
    """All that is wrong with a user's own document, or with the ARN of a component."""
    from imgbake_image_builder import checking

    if ":" in source:
        problem = existing.reference_problem(source)
        hint = "arn:aws:imagebuilder:REGION:aws:component/NAME/x.x.x is the newest of Amazon's"
        return [Problem(problem, hint=hint)] if problem else []
    platform = "" if "{{" in options.os else systems.find(options.os).platform
    return checking.check(source, text, params, platform)
