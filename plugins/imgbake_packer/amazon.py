"""The builder amazon-ebs in Packer's words, and the same machine without an image made of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint
from imgbake_aws import tags
from imgbake_aws.bases import SCRATCH, is_product
from imgbake_packer import words
from imgbake_packer.options import Options

STAMP = "stamp"  # the variable that makes an AMI's name unique, and by which a bake is known
PROJECT = "project"  # the variable with the project's name
LOWERED = "lowered"  # the variable with the digest of the template
ENDPOINT = "endpoint"  # the variable with another address of EC2's API, empty for AWS's own
CAPACITY = ("instance_type", "spot_price")  # variables, as they decide nothing of what is baked
_BAKE = {tags.BAKE: f"${{var.{STAMP}}}"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]")  # EC2's API reference, CreateImage
_LONGEST_NAME = 128
_LONGEST_STAMP = 24  # characters
_OF_THE_MACHINE = (
    "subnet_id",
    "vpc_id",
    "security_group_ids",
    "associate_public_ip_address",
    "iam_instance_profile",
    "profile",
)
_OF_THE_IMAGE = (
    "ami_description",
    "ami_regions",
    "ami_users",
    "encrypt_boot",
    "kms_key_id",
    "region_kms_key_ids",
    "launch_block_device_mappings",
)
_GP3 = {"iops": 3000, "throughput": 125}  # AWS's defaults, which Packer before 1.8 wants to be told
_UNKNOWN_TO_VOLUMES = re.compile(  # what amazon-ebsvolume, which makes no image, has no words for
    r"ami_.*|tags?|snapshot_.*|imds_support|boot_mode|tpm_support|uefi_data|deprecate_at|fast_launch|"
    r"deregistration_protection|force_.*|skip_create_ami|skip_save_build_region|skip_ami_run_tags|"
    r"skip_region_validation|run_volume_.*"
)


def region(blueprint: Blueprint, options: Options) -> str:
    """Where the image is baked. Raises BakeError when nobody says, or the base is elsewhere."""
    offered = _regions(blueprint.base)
    found = options.region or (next(iter(offered)) if len(offered) == 1 else "")
    if not found:
        message = f"image '{blueprint.image}': nobody says in which region it is baked"
        raise BakeError(message, hint=f"write `region` in [targets.{blueprint.target}]")
    if offered and found not in offered:
        message = (
            f"image '{blueprint.image}' is baked in {found}, and its base is in {', '.join(sorted(offered))}"
        )
        raise BakeError(message, hint=f'let the base be there too: region = "{found}" in its table')
    return found


def source(blueprint: Blueprint, options: Options) -> dict[str, Any]:
    """The options of amazon-ebs. Raises BakeError for what can't be said."""
    base = blueprint.base
    if base.reference == SCRATCH:
        message = f"image '{blueprint.image}': a machine image can't start from nothing"
        raise BakeError(
            message, hint='write its base as an AMI\'s id, "ssm:…" or { ami = { owner = "…", name = "…" } }'
        )
    if is_product(base.reference):
        message = f"image '{blueprint.image}': Packer can't look up {base.reference} of AWS Marketplace"
        hint = 'write its base as { ami = { owner = "aws-marketplace", name = "…" } }'
        raise BakeError(message, hint=hint)
    there = region(blueprint, options)
    source_ami = _regions(base).get(there) or base.digest
    found = _machine(blueprint, options, there, source_ami)
    found["skip_region_validation"] = f'${{var.{ENDPOINT} != ""}}'
    name = _name(blueprint, options)
    found |= {"ami_name": name, "tags": {"Name": name}, "run_volume_tags": found["run_tags"]}
    found["tags"] |= words.literal({**blueprint.config.labels, **options.tags}) | _ours(blueprint)
    found |= _said(options, _OF_THE_IMAGE)
    for volume in found.get("launch_block_device_mappings", ()):
        if volume.get("volume_type") == "gp3":
            volume |= _GP3 | volume
    if options.imds == "v2":
        found["imds_support"] = "v2.0"
    more: dict[str, Any] = words.literal(options.more)
    return found | more


def instance(blueprint: Blueprint, options: Options, artifact: Artifact) -> dict[str, Any]:
    """The options of amazon-ebsvolume for an instance of a baked image, of which nothing is kept."""
    there, ami = next(iter(_regions(artifact).items()))
    there = options.region if options.region in _regions(artifact) else there
    ami = _regions(artifact)[there]
    found = _machine(blueprint, options, there, ami)
    more = {name: value for name, value in options.more.items() if not _UNKNOWN_TO_VOLUMES.fullmatch(name)}
    also: dict[str, Any] = words.literal(more)
    return found | also


def makes(blueprint: Blueprint, options: Options) -> Iterator[str]:
    """What is made in the account, and costs."""
    there = region(blueprint, options)
    machine = options.instance_type or variables(blueprint)["instance_type"]["default"]
    yield f"an instance of {machine} in {there}" + (" at a spot price" if options.spot_price else "")
    if any(layer.test for layer in blueprint.layers):
        yield f"another in {there}, of the AMI, to test it"
    yield f"an AMI with its snapshots in {', '.join((there, *options.ami_regions))}"


def variables(blueprint: Blueprint) -> dict[str, Any]:
    """The variables of a template, by name, each with a default."""
    is_arm = blueprint.base.facts.get("architecture") == "arm64"
    defaults = {
        STAMP: "{{timestamp}}",
        ENDPOINT: "",
        PROJECT: "",
        LOWERED: "",
        "instance_type": "t4g.small" if is_arm else "t3.small",
        "spot_price": "",
    }
    return {name: {"type": "string", "default": default} for name, default in defaults.items()}


def _ours(blueprint: Blueprint) -> dict[str, str]:
    """The tags by which an AMI is known as ours."""
    named = f"${{var.{PROJECT}}}", blueprint.image, blueprint.target, f"${{var.{LOWERED}}}"
    return tags.ours(*named) | _BAKE


def _regions(artifact: Artifact) -> dict[str, str]:
    found: dict[str, str] = artifact.facts.get("regions", {})
    return found


def _machine(blueprint: Blueprint, options: Options, region: str, source_ami: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "region": region,
        "source_ami": source_ami,
        **{name: f"${{var.{name}}}" for name in CAPACITY},
        "communicator": options.communicator,
        "run_tags": {"Name": f"imgbake {blueprint.image}"} | words.literal(options.run_tags) | _BAKE,
        "custom_endpoint_ec2": f"${{var.{ENDPOINT}}}",
        "skip_metadata_api_check": f'${{var.{ENDPOINT} != ""}}',
    }
    if options.communicator == "ssh":
        found["ssh_username"] = words.literal(options.ssh_username)
    if options.imds == "v2":
        found["metadata_options"] = [{"http_endpoint": "enabled", "http_tokens": "required"}]
    return found | _said(options, _OF_THE_MACHINE)


def _said(options: Options, names: tuple[str, ...]) -> dict[str, Any]:
    """The options of these names that say something."""
    values = {name: _without_none(msgspec.to_builtins(getattr(options, name))) for name in names}
    return {name: words.literal(value) for name, value in values.items() if value not in ("", None, {}, [])}


def _without_none(value: Any) -> Any:
    """Options as lists and tables, whose keys that say nothing are left out."""
    if isinstance(value, dict):
        return {name: each for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list | tuple) else value


def _name(blueprint: Blueprint, options: Options) -> str:
    """A name that EC2 takes, unique by a stamp that is put in when it is baked."""
    wanted = options.ami_name or f"{blueprint.image}-{blueprint.target}"
    valid = _NOT_IN_NAMES.sub("-", wanted)[: _LONGEST_NAME - _LONGEST_STAMP - 1]
    return f"{valid}-${{var.{STAMP}}}"
