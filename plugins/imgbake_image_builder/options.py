"""The options of the targets: the fields of Image Builder's API, in this project's spelling.

What only says how an image is baked decides nothing, unless a pipeline is to be kept up to date.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from imgbake_image_builder import refusals
from imgbake_image_builder.tables import (
    AmiDistribution,
    ContainerDistribution,
    Logging,
    Pipeline,
    Placement,
    ScalingGroup,
    Scanning,
    Tags,
    Tests,
    Text,
    Volume,
    Workflow,
)


def _described(text: str, *, decides: bool = True) -> Meta:
    return Meta(description=text, extra={} if decides else {"decides": False})


class Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of both targets."""

    os: Annotated[str, _described('What the base runs, such as "Amazon Linux 2023" or "Ubuntu 24.04".')]
    instance_profile: Annotated[
        str, Meta(min_length=1, max_length=256, description="The instance profile of the machines that bake.")
    ]
    region: Annotated[
        str, _described("Where it is baked. Default: where its base was found, or AWS's configuration.")
    ] = ""
    profile: Annotated[str, _described("The profile of AWS's configuration. Default: AWS_PROFILE.")] = ""
    bucket: Annotated[
        str, _described("The bucket that files of components, and long documents, are staged in.")
    ] = ""
    bucket_prefix: Annotated[str, _described("Where in the bucket.")] = "imgbake"
    instance_types: Annotated[
        tuple[str, ...], _described("The machines that bake; the first that is free.", decides=False)
    ] = ()
    subnet_id: Annotated[str, _described("Where they stand; needs `security_group_ids`.", decides=False)] = ""
    security_group_ids: Annotated[tuple[Text, ...], _described("Their security groups.", decides=False)] = ()
    key_pair: Annotated[str, _described("The key to log in with.", decides=False)] = ""
    terminate_instance_on_failure: Annotated[
        bool, _described("Without it a machine that failed stays, and costs.", decides=False)
    ] = True
    terminate_instance_on_completion: Annotated[
        bool | None, _described("Whether a machine that is done is ended.", decides=False)
    ] = None
    sns_topic_arn: Annotated[str, _described("A topic that is told of the end.", decides=False)] = ""
    resource_tags: Annotated[
        dict[str, str], Meta(max_length=30), _described("Tags of the machines and volumes.", decides=False)
    ] = {}
    http_tokens: Annotated[
        Literal["optional", "required"] | None,
        _described("Must the machines ask for a session token of the metadata service?", decides=False),
    ] = None
    http_put_response_hop_limit: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        _described("How far the answers of the metadata service go.", decides=False),
    ] = None
    log_bucket: Annotated[str, _described("A bucket for the logs of the machines.", decides=False)] = ""
    log_prefix: Annotated[str, _described("Where in that bucket.", decides=False)] = ""
    placement: Annotated[
        Placement | None, _described("Zone, tenancy and host of the machines.", decides=False)
    ] = None
    auto_scaling_group: Annotated[
        ScalingGroup | None, _described("A group of warm instances to bake on.", decides=False)
    ] = None
    working_directory: Annotated[str, _described("The folder that components work in.")] = ""
    description: Annotated[str, Meta(max_length=1024), _described("What the image says of itself.")] = ""
    tags: Annotated[Tags, _described("Tags of everything that is made in Image Builder.", decides=False)] = {}
    tests: Annotated[Tests, _described("Whether the image is tested, and how long that may take.")] = Tests()
    enhanced_image_metadata: Annotated[
        bool | None, _described("Whether the packages of the image are listed. Default: yes.")
    ] = None
    scanning: Annotated[Scanning | None, _described("Scanning for vulnerabilities.")] = None
    workflows: Annotated[
        tuple[Workflow, ...], _described("Workflows instead of Image Builder's own; need `execution_role`.")
    ] = ()
    execution_role: Annotated[str, _described("The role that runs workflows.", decides=False)] = ""
    logging: Annotated[Logging | None, _described("Groups for the logs.", decides=False)] = None
    pipeline: Annotated[
        Pipeline | None,
        _described("Bake by a pipeline, which may have a schedule. Then all options decide."),
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in self._problems():
            raise ValueError(f"`{key}`: {problem}")

    def _problems(self) -> refusals.Problems:
        yield from refusals.of_both(self)


class AmiOptions(Common, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "image-builder"`."""

    volumes: Annotated[tuple[Volume, ...], _described("Volumes of the machine, and of the image.")] = ()
    ami_name: Annotated[
        str, _described("The AMI's name; the time is added to make it unique. Default: IMAGE-TARGET.")
    ] = ""
    ami_tags: Annotated[Tags, _described("Tags of the AMI.")] = {}
    ami_watermarks: Annotated[
        Annotated[tuple[str, ...], Meta(max_length=5)], _described("Marks that the AMI keeps when copied.")
    ] = ()
    user_data: Annotated[str, _described("What the machine that bakes is started with.")] = ""
    uninstall_ssm_agent: Annotated[
        bool, _described("Remove the agent of Systems Manager before the image is made.")
    ] = False
    distribution: Annotated[
        tuple[AmiDistribution, ...], _described("The regions that get the AMI. Default: its own.")
    ] = ()

    def _problems(self) -> refusals.Problems:
        yield from super()._problems()
        yield from refusals.of_amis(self)


class ContainerOptions(Common, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "image-builder-container"`."""

    repository: Annotated[str, Meta(min_length=1, description="The repository of ECR that gets the image.")]
    container_tags: Annotated[tuple[str, ...], _described("Tags that the image gets there.")] = ()
    instance_image: Annotated[
        str, _described("The AMI of the machines that bake. Default: Amazon's for containers.")
    ] = ""
    instance_volumes: Annotated[tuple[Volume, ...], _described("Volumes of these machines.")] = ()
    dockerfile_template: Annotated[
        str,
        Meta(max_length=16000),
        _described("The template of the Dockerfile. Default: base, components, and what the image says."),
    ] = ""
    dockerfile_template_uri: Annotated[
        str,
        _described("The same in a bucket, s3://BUCKET/KEY; only the address decides, not what is there."),
    ] = ""
    image_os_version: Annotated[str, _described("What the base runs, for Image Builder to be told.")] = ""
    kms_key_id: Annotated[str, _described("The key of the Dockerfile template.")] = ""
    distribution: Annotated[
        tuple[ContainerDistribution, ...], _described("The regions that get the image. Default: its own.")
    ] = ()

    def _problems(self) -> refusals.Problems:
        yield from super()._problems()
        yield from refusals.of_containers(self)


Options = AmiOptions | ContainerOptions
