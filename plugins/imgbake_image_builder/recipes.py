"""CreateImageRecipe and CreateContainerRecipe: a base, components in their order, volumes. Pure."""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from imgbake.api import BakeError, Blueprint, Layer
from imgbake_aws import bases
from imgbake_docker.lowering import configuration
from imgbake_docker.naming import base_name
from imgbake_image_builder import components, existing, systems
from imgbake_image_builder.options import Common, ContainerOptions, Options
from imgbake_image_builder.tables import Volume
from imgbake_image_builder.words import camel
from imgbake_oci import sources

_WILDCARD = re.compile(r"/[\dx.]*x$")


def request(blueprint: Blueprint, options: Options) -> dict[str, Any]:
    """CreateImageRecipe or CreateContainerRecipe: names and versions left out, components by name."""
    uses = [_use(layer) for layer in used(blueprint)]
    found: dict[str, Any] = {"description": options.description} if options.description else {}
    if uses:
        found["components"] = uses
    if options.working_directory:
        found["workingDirectory"] = options.working_directory
    if isinstance(options, ContainerOptions):
        return found | _container_recipe(blueprint, options)
    found["parentImage"] = _parent_image(blueprint, options)
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


def used(blueprint: Blueprint) -> list[Layer]:
    """The components that do something; the last is what the image itself says of the environment."""
    found = [layer for layer in blueprint.layers if not components.is_empty(layer)]
    if blueprint.base.kind == "ami" and blueprint.config.env:
        found.append(Layer(f"environment-of-{blueprint.image}", env=blueprint.config.env))
    return found


def region(blueprint: Blueprint, options: Common) -> str:
    """Where the image is baked; empty if only AWS's configuration says it. Raises BakeError."""
    offered: dict[str, str] = blueprint.base.facts.get("regions", {})
    found = options.region or (next(iter(offered)) if len(offered) == 1 else "")
    if found and offered and found not in offered:
        elsewhere = ", ".join(sorted(offered))
        message = f"image '{blueprint.image}' is baked in {found}, and its base is in {elsewhere}"
        raise BakeError(message, hint=f"let the base be there too, as in `ssm:PARAMETER,region={found}`")
    return found


def follows_base(blueprint: Blueprint, options: Common) -> bool:
    """Is it a pipeline that runs by itself, on a base that moves and that Image Builder can follow?

    It knows of updates only by a version with `x`, or a parameter, and not by the AMI that it means now.
    """
    if options.pipeline is None or options.pipeline.schedule is None:
        return False
    return bool(_moving(blueprint, options))


def _parent_image(blueprint: Blueprint, options: Common) -> str:
    """The AMI that the base means, or the base as it is written where the pipeline is to follow it."""
    if follows_base(blueprint, options):
        return _moving(blueprint, options)
    offered: dict[str, str] = blueprint.base.facts.get("regions", {})
    return offered.get(region(blueprint, options)) or blueprint.base.digest


def _moving(blueprint: Blueprint, options: Common) -> str:
    """A base that moves and can be followed, in the words of Image Builder; empty for any other."""
    reference = blueprint.base.reference
    if reference.startswith("arn:"):
        return reference if _WILDCARD.search(reference) else ""
    if not reference.startswith("ssm:"):
        return ""
    asked = bases.parse(reference)
    is_here = asked.region in ("", region(blueprint, options)) and asked.profile in ("", options.profile)
    return f"ssm:{asked.text}" if is_here else ""


def _use(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = {"componentArn": existing.reference(layer) or layer.component}
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
