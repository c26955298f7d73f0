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

import base64
import re
from typing import Any

import msgspec

from imgbake.api import BakeError, Blueprint, Layer, Lowered, Problem, RecipeError
from imgbake_docker.lowering import configuration
from imgbake_docker.naming import base_name
from imgbake_image_builder import components, systems
from imgbake_image_builder.options import (
    AmiDistribution,
    AmiOptions,
    Common,
    ContainerDistribution,
    ContainerOptions,
    Options,
    Volume,
    ami_name,
    camel,
    in_words,
    is_said,
)
from imgbake_oci import sources
from imgbake_oci.target import copy_document

INFRASTRUCTURE = "infrastructure.yaml"
PIPELINE = "pipeline.yaml"
_SCRATCH = "scratch"
_ARN = re.compile(
    r"arn:aws[^:]*:imagebuilder:[^:]+:(?:\d{12}|aws(?:-[a-z-]+)?|third-party):component/"
    r"([a-z0-9-_]+)/((?:\d+|x)\.(?:\d+|x)\.(?:\d+|x))(?:/\d+)?"
)
_WILD = re.compile(r"\d+\.\d+\.\d+|\d+\.\d+\.x|\d+\.x\.x|x\.x\.x")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_NOT_IN_AMI_NAMES = re.compile(r"[^-_A-Za-z0-9:.]+")
_LONGEST_NAME = 128
_SAME = re.compile(r"[\s_]+")


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
    if options.pipeline is None:
        return Lowered(documents, machines)
    pipeline = {PIPELINE: components.yaml_text(pipeline_request(options))}
    return Lowered({**documents, **machines, **pipeline})


def component_documents(blueprint: Blueprint, options: Options, *, limits: bool = False) -> dict[str, str]:
    """The documents of the components, by file name. Those that are in Image Builder already have none."""
    system = systems.find(options.os)
    found: dict[str, str] = {}
    for layer in used(blueprint):
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
        "image-recipe.yaml" if is_ami else "container-recipe.yaml": recipe_request(blueprint, options),
        "distribution.yaml": {"distributions": distributions(blueprint, options)},
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


def region(blueprint: Blueprint, options: Common) -> str:
    """Where the image is baked; empty if only AWS's configuration says it. Raises BakeError."""
    offered: dict[str, str] = blueprint.base.facts.get("regions", {})
    found = options.region or (next(iter(offered)) if len(offered) == 1 else "")
    if found and offered and found not in offered:
        elsewhere = ", ".join(sorted(offered))
        message = f"image '{blueprint.image}' is baked in {found}, and its base is in {elsewhere}"
        raise BakeError(message, hint=f"let the base be there too, as in `ssm:PARAMETER,region={found}`")
    return found


def recipe_request(blueprint: Blueprint, options: Options) -> dict[str, Any]:
    """CreateImageRecipe or CreateContainerRecipe: names and versions left out, components by name."""
    uses = [_use(layer) for layer in used(blueprint)]
    found: dict[str, Any] = {"description": options.description} if options.description else {}
    if uses:
        found["components"] = uses
    if options.working_directory:
        found["workingDirectory"] = options.working_directory
    if isinstance(options, ContainerOptions):
        return found | _container_recipe(blueprint, options)
    offered: dict[str, str] = blueprint.base.facts.get("regions", {})
    found["parentImage"] = offered.get(region(blueprint, options)) or blueprint.base.digest
    if options.volumes:
        found["blockDeviceMappings"] = [_volume(each) for each in options.volumes]
    instance: dict[str, Any] = {}
    if options.uninstall_ssm_agent:
        instance["systemsManagerAgent"] = {"uninstallAfterBuild": True}
    if options.user_data:
        instance["userDataOverride"] = base64.b64encode(options.user_data.encode()).decode()
    said: dict[str, Any] = {
        "additionalInstanceConfiguration": instance,
        "amiTags": options.ami_tags,
        "amiWatermarks": list(options.ami_watermarks),
    }
    return found | {name: value for name, value in said.items() if value}


def distributions(blueprint: Blueprint, options: Options) -> list[dict[str, Any]]:
    """A distribution for each region; without any, of the region where it is baked."""
    if isinstance(options, ContainerOptions):
        return _container_distributions(blueprint, options)
    there = region(blueprint, options)
    listed = options.distribution or (AmiDistribution(region=there),)
    return [_ami_distribution(each, blueprint, options) for each in listed]


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


def reference_problem(reference: str) -> str:
    """What is wrong with the ARN of a component; empty when nothing is."""
    found = _ARN.fullmatch(reference)
    if found is None:
        return f"'{reference}' is neither a path nor the ARN of a component"
    if not _WILD.fullmatch(found[2]):
        return f"'{found[2]}' is no version: what follows an x is an x"
    return ""


def same_name(reference: str) -> str:
    """The name of a component as AWS compares it, without case, spaces, underscores and version."""
    found = _ARN.fullmatch(reference)
    return _SAME.sub("-", (found[1] if found else reference).lower())


def _refuse(blueprint: Blueprint, options: Options) -> None:
    whose = f"image '{blueprint.image}'"
    if isinstance(options, AmiOptions) and blueprint.base.reference == _SCRATCH:
        message = f"{whose}: Image Builder can't start from nothing"
        raise BakeError(
            message, hint='write its base as an AMI\'s id, or { ami = { owner = "…", name = "…" } }'
        )
    seen: dict[str, str] = {}
    for layer in used(blueprint):
        folded = same_name(reference(layer) or resource_name(layer.component))
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
        problem = reference_problem(source)
        hint = "arn:aws:imagebuilder:REGION:aws:component/NAME/x.x.x is the newest of Amazon's"
        return [Problem(problem, hint=hint)] if problem else []
    platform = "" if "{{" in options.os else systems.find(options.os).platform
    return checking.check(source, text, params, platform)


def reference(layer: Layer) -> str:
    """The ARN of a component that is in Image Builder already; empty for any other."""
    source = layer.document.source if layer.document else ""
    return source if ":" in source else ""


def used(blueprint: Blueprint) -> list[Layer]:
    """The components that do something; the last is what the image itself says of the environment."""
    found = [layer for layer in blueprint.layers if not components.is_empty(layer)]
    if blueprint.base.kind == "ami" and blueprint.config.env:
        found.append(Layer(f"environment-of-{blueprint.image}", env=blueprint.config.env))
    return found


def _use(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = {"componentArn": reference(layer) or layer.component}
    params = layer.document.params if layer.document else {}
    if params:
        found["parameters"] = [{"name": name, "value": [value]} for name, value in params.items()]
    return found


def _volume(volume: Volume) -> dict[str, Any]:
    """A block device mapping."""
    beside = {"device_name", "virtual_name", "no_device"}
    ebs = {
        camel(name): value
        for name in volume.__struct_fields__
        if name not in beside and (value := getattr(volume, name)) is not None
    }
    found: dict[str, Any] = {"deviceName": volume.device_name}
    if volume.virtual_name:
        found["virtualName"] = volume.virtual_name
    if volume.no_device:
        found["noDevice"] = ""
    return found | ({"ebs": ebs} if ebs else {})


def _container_recipe(blueprint: Blueprint, options: ContainerOptions) -> dict[str, Any]:
    system = systems.find(options.os)
    found: dict[str, Any] = {
        "containerType": "DOCKER",
        "parentImage": _parent_container(blueprint),
        "targetRepository": {"service": "ECR", "repositoryName": options.repository},
    }
    if options.dockerfile_template_uri:
        found["dockerfileTemplateUri"] = options.dockerfile_template_uri
    else:
        found["dockerfileTemplateData"] = options.dockerfile_template or _dockerfile(blueprint)
    instance: dict[str, Any] = {"image": options.instance_image} if options.instance_image else {}
    if options.instance_volumes:
        instance["blockDeviceMappings"] = [_volume(each) for each in options.instance_volumes]
    if instance:
        found["instanceConfiguration"] = instance
    if options.instance_image:
        found["platformOverride"] = system.platform
    said = {"imageOsVersionOverride": options.image_os_version, "kmsKeyId": options.kms_key_id}
    return found | {name: value for name, value in said.items() if value}


def _parent_container(blueprint: Blueprint) -> str:
    """One exact image in a registry that AWS can reach. Raises BakeError for any other."""
    base = blueprint.base
    if "uris" in base.facts:  # a target of this kind has baked it
        return base.reference
    if not sources.is_remote(base.reference):
        message = f"image '{blueprint.image}': the machines of AWS can't reach the base {base.reference!r}"
        raise BakeError(message, hint="name one in a registry")
    return base_name(blueprint)


def _dockerfile(blueprint: Blueprint) -> str:
    env = {name: value for layer in blueprint.layers for name, value in layer.env.items()}
    config = msgspec.structs.replace(blueprint.config, env=env | blueprint.config.env)
    lines = [
        "FROM {{{ imagebuilder:parentImage }}}",
        "{{{ imagebuilder:environments }}}",
        "{{{ imagebuilder:components }}}",
        *configuration(config, {}),
    ]
    return "\n".join(lines) + "\n"


def _ami_distribution(said: AmiDistribution, blueprint: Blueprint, options: AmiOptions) -> dict[str, Any]:
    default = options.ami_name or _NOT_IN_AMI_NAMES.sub("-", f"{blueprint.image}-{blueprint.target}")[:90]
    ami: dict[str, Any] = {"name": ami_name(said.name or default)}
    if description := said.description or options.description:
        ami["description"] = description
    tags = {**blueprint.config.labels, **options.ami_tags, **said.ami_tags}
    for name, value in (
        ("targetAccountIds", said.target_account_ids),
        ("amiTags", tags),
        ("kmsKeyId", said.kms_key_id),
        ("launchPermission", said.launch_permission),
    ):
        if is_said(value):
            ami[name] = in_words(value)
    found: dict[str, Any] = {"region": said.region, "amiDistributionConfiguration": ami}
    own = (
        "region",
        "name",
        "description",
        "target_account_ids",
        "ami_tags",
        "kms_key_id",
        "launch_permission",
    )
    for name in said.__struct_fields__:
        if name not in own and is_said(value := getattr(said, name)):
            found[camel(name)] = in_words(value)
    return found


def _container_distributions(blueprint: Blueprint, options: ContainerOptions) -> list[dict[str, Any]]:
    listed = options.distribution or (ContainerDistribution(region=region(blueprint, options)),)
    found = []
    for each in listed:
        name = each.repository or options.repository
        container: dict[str, Any] = {"targetRepository": {"service": "ECR", "repositoryName": name}}
        if each.description or options.description:
            container["description"] = each.description or options.description
        if tags := each.container_tags or options.container_tags:
            container["containerTags"] = list(tags)
        found.append({"region": each.region, "containerDistributionConfiguration": container})
    return found


def _workflow_parameters(said: dict[str, str | tuple[str, ...]]) -> dict[str, Any]:
    if not said:
        return {}
    listed = [
        {"name": name, "value": [value] if isinstance(value, str) else list(value)}
        for name, value in said.items()
    ]
    return {"parameters": listed}
