"""The options of the targets, and what is refused while the recipe is read.

They are the fields of Image Builder's API, in this project's spelling: its camelCase with underscores.
What only says how an image is baked decides nothing, unless a pipeline is to be kept up to date.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from imgbake.api import BakeError
from imgbake_image_builder import systems

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
_NOT_IN_RESOURCE_TAGS = ("CreatedBy", "Ec2ImageBuilderArn", "Name", "Tags")
_AMI_NAME = re.compile(r"[-_A-Za-z0-9{][-_A-Za-z0-9\s:{}.]+[-_A-Za-z0-9}]")
DATE = "{{ imagebuilder:buildDate }}"
_LONGEST_AMI_NAME = 127
_CRON_FIELDS = 6
_LONGEST_USER_DATA = 21847  # characters in base64
_WATERMARK = re.compile(r"[\w()\[\]./'@-][\w ()\[\]./'@-]{1,126}[\w()\[\]./'@-]", re.ASCII)
_OBJECT = re.compile(r"s3://[^/]+/.+")

Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Account = Annotated[str, Meta(pattern=r"^(\d{12}|.*\{\{.*)$")]
Region = Annotated[str, Meta(pattern=r"^([a-z]{2}(-[a-z]+)+-\d+|.*\{\{.*)$")]
LogGroup = Annotated[str, Meta(pattern=r"^([a-zA-Z0-9\-_/.]{1,512}|.*\{\{.*)$")]
Group = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][-A-Za-z0-9_+#]{0,99}|.*\{\{.*)$")]
Tags = Annotated[dict[str, str], Meta(max_length=50)]


def _described(text: str, *, decides: bool = True) -> Meta:
    return Meta(description=text, extra={} if decides else {"decides": False})


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A table of options. It is encoded in the words of the API."""


class Volume(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A volume of the instance, and of the image that is made of it."""

    device_name: Text
    volume_size: Annotated[int, Meta(ge=1, le=16000)] | None = None  # GiB
    volume_type: Literal["standard", "io1", "io2", "gp2", "gp3", "sc1", "st1"] | None = None
    iops: Annotated[int, Meta(ge=100, le=64000)] | None = None
    throughput: Annotated[int, Meta(ge=125, le=1000)] | None = None  # MiB/s
    encrypted: bool | None = None
    kms_key_id: Text | None = None
    snapshot_id: Text | None = None
    delete_on_termination: bool | None = None
    virtual_name: Text | None = None  # an instance store instead
    no_device: bool = False  # leave out what the base has there


class Placement(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Where the instance stands. macOS needs a host."""

    availability_zone: Text | None = None
    tenancy: Literal["default", "dedicated", "host"] | None = None
    host_id: Text | None = None
    host_resource_group_arn: Text | None = None


class Permission(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Who may launch the AMI."""

    user_ids: Annotated[tuple[Account, ...], Meta(max_length=1536)] = ()
    user_groups: tuple[Literal["all"], ...] = ()
    organization_arns: Annotated[tuple[Text, ...], Meta(max_length=25)] = ()
    organizational_unit_arns: Annotated[tuple[Text, ...], Meta(max_length=25)] = ()


class LaunchTemplate(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A launch template that gets a version with the new AMI."""

    launch_template_id: Annotated[str, Meta(pattern=r"^(lt-[a-z0-9-_]{17}|.*\{\{.*)$")]
    account_id: Account | None = None
    set_default_version: bool | None = None


class Parameter(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter of Systems Manager that gets the id of the new AMI."""

    parameter_name: Annotated[str, Meta(min_length=1, max_length=1011)]
    data_type: Literal["text", "aws:ec2:image"] | None = None
    ami_account_id: Account | None = None


class Export(Table, frozen=True, kw_only=True, omit_defaults=True):
    """The image as a disk in a bucket."""

    role_name: Text
    disk_image_format: Literal["VMDK", "RAW", "VHD"]
    s3_bucket: Text
    s3_prefix: Text | None = None


class FastLaunchTemplate(Table, frozen=True, kw_only=True, omit_defaults=True):
    """The launch template that prepares snapshots."""

    launch_template_id: Text | None = None
    launch_template_name: Text | None = None
    launch_template_version: Text | None = None


class Snapshots(Table, frozen=True, kw_only=True, omit_defaults=True):
    """How many snapshots stand ready."""

    target_resource_count: Annotated[int, Meta(ge=1, le=10000)]


class FastLaunch(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Faster launching of Windows."""

    enabled: bool
    snapshot_configuration: Snapshots | None = None
    max_parallel_launches: Annotated[int, Meta(ge=1)] | None = None
    launch_template: FastLaunchTemplate | None = None
    account_id: Account | None = None


class AmiDistribution(Table, frozen=True, kw_only=True, omit_defaults=True):
    """How the AMI becomes available in a region."""

    region: Region
    name: str = ""
    description: str = ""
    target_account_ids: Annotated[tuple[Account, ...], Meta(max_length=1536)] = ()
    ami_tags: Tags = {}
    kms_key_id: str = ""
    launch_permission: Permission | None = None
    license_configuration_arns: Annotated[tuple[Text, ...], Meta(max_length=50)] = ()
    launch_template_configurations: Annotated[tuple[LaunchTemplate, ...], Meta(max_length=100)] = ()
    ssm_parameter_configurations: tuple[Parameter, ...] = ()
    s3_export_configuration: Export | None = None
    fast_launch_configurations: Annotated[tuple[FastLaunch, ...], Meta(max_length=1000)] = ()


class ContainerDistribution(Table, frozen=True, kw_only=True, omit_defaults=True):
    """How the container image becomes available in a region."""

    region: Region
    repository: str = ""
    description: str = ""
    container_tags: tuple[Text, ...] = ()


class Tests(Table, frozen=True, kw_only=True, omit_defaults=True):
    """The tests of the finished image."""

    image_tests_enabled: bool = True
    timeout_minutes: Annotated[int, Meta(ge=60, le=1440)] | None = None


class EcrScanning(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Where container images are put to be scanned."""

    repository_name: Text | None = None
    container_tags: tuple[Text, ...] = ()


class ScanResult(Table, frozen=True, kw_only=True, omit_defaults=True):
    """How severe a finding may be."""

    maximum_severity_label: Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH"]
    fix_available: bool | None = None


class Scanning(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Scanning by Amazon Inspector."""

    image_scanning_enabled: bool = True
    ecr_configuration: EcrScanning | None = None
    image_scanning_types: Annotated[
        tuple[Literal["TEST_INSTANCE_CVE", "ON_DEMAND_AMI_CVE"], ...], Meta(max_length=1)
    ] = ()
    scan_result_condition: ScanResult | None = None


class Workflow(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow instead of those that Image Builder has."""

    workflow_arn: Annotated[
        str,
        Meta(
            pattern=r"^(arn:aws[^:]*:imagebuilder:[^:]+:[^:]+:workflow/(build|test|distribution)/[a-z0-9-_]+/"
            r"(x\.x\.x|\d+\.x\.x|\d+\.\d+\.x|\d+\.\d+\.\d+(/\d+)?)|.*\{\{.*)$"
        ),
    ]
    parameters: dict[str, str | tuple[str, ...]] = {}
    parallel_group: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][-A-Za-z0-9_+#]{0,99}|.*\{\{.*)$")] | None = (
        None
    )
    on_failure: Literal["CONTINUE", "ABORT"] | None = None


class Logging(Table, frozen=True, kw_only=True, omit_defaults=True):
    """Groups of CloudWatch that take the logs."""

    image_log_group_name: LogGroup | None = None
    pipeline_log_group_name: LogGroup | None = None


class AutoDisable(Table, frozen=True, kw_only=True, omit_defaults=True):
    """When a pipeline stops running by itself."""

    failure_count: Annotated[int, Meta(ge=1, le=10)]


class Schedule(Table, frozen=True, kw_only=True, omit_defaults=True):
    """When a pipeline runs by itself."""

    schedule_expression: Text
    timezone: Annotated[str, Meta(min_length=3, max_length=100)] | None = None
    pipeline_execution_start_condition: (
        Literal["EXPRESSION_MATCH_ONLY", "EXPRESSION_MATCH_AND_DEPENDENCY_UPDATES_AVAILABLE"] | None
    ) = None
    auto_disable_policy: AutoDisable | None = None


class Pipeline(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A pipeline that bakes the image, now and later."""

    schedule: Schedule | None = None
    status: Literal["ENABLED", "DISABLED"] = "ENABLED"
    description: str = ""


class ScalingGroup(Table, frozen=True, kw_only=True, omit_defaults=True):
    """A group of warm instances."""

    name: Text
    capacity_wait_timeout_seconds: Annotated[int, Meta(ge=0, le=3600)] | None = None


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
        for key, problem in problems(self):
            raise ValueError(f"`{key}`: {problem}")


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


Options = AmiOptions | ContainerOptions


def problems(said: Common) -> Iterator[tuple[str, str]]:
    """What can't be, with the key that it is about."""
    if _is_given(said.os):
        try:
            systems.find(said.os)
        except BakeError as error:
            yield "os", f"{error.message}; {error.hint}"
    if _is_given(said.region) and not REGION.fullmatch(said.region):
        yield "region", f"'{said.region}' is no region; they look like eu-west-1"
    yield from _problems_of_machines(said)
    if said.workflows and not said.execution_role:
        yield "workflows", "they need `execution_role`, the role that runs them"
    if said.pipeline and said.pipeline.schedule:
        expression = said.pipeline.schedule.schedule_expression
        if problem := schedule_problem(expression):
            yield "pipeline", f"'{expression}' {problem}"
    distribution: Sequence[Any] = getattr(said, "distribution", ())
    regions = [each.region for each in distribution]
    for region in dict.fromkeys(regions):
        if regions.count(region) > 1:
            yield "distribution", f"{region} is named twice"
    if isinstance(said, AmiOptions):
        for name in (said.ami_name, *(each.name for each in said.distribution)):
            if problem := _name_problem(name):
                yield "ami_name" if name == said.ami_name else "distribution", problem
        if len(base64.b64encode(said.user_data.encode())) > _LONGEST_USER_DATA:
            yield "user_data", f"has {len(said.user_data.encode())} bytes; some 16000 may be"
        for mark in said.ami_watermarks:
            if _is_given(mark) and not _WATERMARK.fullmatch(mark):
                yield "ami_watermarks", f"'{mark}': 3 to 128 letters, digits, inner spaces, and ()[]./'@_-"
        for volume in said.volumes:
            yield from _problems_of_volume("volumes", volume)
    if isinstance(said, ContainerOptions):
        if said.dockerfile_template and said.dockerfile_template_uri:
            yield "dockerfile_template_uri", "there is a `dockerfile_template` already: remove one"
        uri = said.dockerfile_template_uri
        if _is_given(uri) and not _OBJECT.fullmatch(uri):
            yield "dockerfile_template_uri", f"'{uri}' is no s3://BUCKET/KEY"
        for volume in said.instance_volumes:
            yield from _problems_of_volume("instance_volumes", volume)
        if said.http_tokens == "required" and (said.http_put_response_hop_limit or 1) < 2:
            yield "http_put_response_hop_limit", "containers reach the metadata service from 2 hops on"


def _problems_of_machines(said: Common) -> Iterator[tuple[str, str]]:
    if said.subnet_id and not said.security_group_ids:
        yield "subnet_id", "needs `security_group_ids`, too"
    scanning = said.scanning
    if scanning and scanning.scan_result_condition and not scanning.image_scanning_enabled:
        yield "scanning", "nothing is scanned, so there is nothing to judge by `scan_result_condition`"
    for name in said.resource_tags:
        if name.lower().startswith("aws:") or name in _NOT_IN_RESOURCE_TAGS:
            yield "resource_tags", f"'{name}' is a tag of Image Builder's own"
    for key, tags in (("tags", said.tags), ("resource_tags", said.resource_tags)):
        for name in tags:
            if name.lower().startswith("aws:"):
                yield key, f"'{name}': tags that begin with aws: belong to AWS"
    is_macos = _is_given(said.os) and _folded_platform(said.os) == "macOS"
    hosted = said.placement is not None and (said.placement.host_id or said.placement.host_resource_group_arn)
    if is_macos and not hosted:
        yield "placement", "macOS runs on dedicated hosts: name `host_id` or `host_resource_group_arn`"


def _folded_platform(os: str) -> str:
    try:
        return systems.find(os).platform
    except BakeError:
        return ""


def _problems_of_volume(key: str, volume: Volume) -> Iterator[tuple[str, str]]:
    kind = volume.volume_type
    if volume.throughput and kind != "gp3":
        yield key, f"{volume.device_name}: only gp3 has `throughput`"
    if kind in ("io1", "io2") and not volume.iops:
        yield key, f"{volume.device_name}: {kind} needs `iops`"
    if volume.iops and kind not in ("io1", "io2", "gp3"):
        yield key, f"{volume.device_name}: only io1, io2 and gp3 have `iops`"
    if volume.kms_key_id and volume.encrypted is False:
        yield key, f"{volume.device_name}: a key, and `encrypted = false`"


def schedule_problem(expression: str) -> str:
    """What is wrong with cron(…) or rate(…); empty when nothing is."""
    if "{{" in expression:
        return ""
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return "" if int(rate[1]) else "never comes"
    cron = re.fullmatch(r"cron\((.*)\)", expression)
    if cron is None:
        return "is neither cron(minute hour day month weekday year) nor rate(7 days)"
    fields = cron[1].split()
    if len(fields) == _CRON_FIELDS - 1:
        fields.append("*")
    if len(fields) != _CRON_FIELDS:
        return f"has {len(fields)} fields; cron has minute, hour, day, month, weekday and year"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "needs a ? for either the day of the month or the day of the week, and only for one"
    return ""


def ami_name(said: str) -> str:
    """The name of an AMI, with the time that makes it unique."""
    return said if DATE in said else f"{said} {DATE}"


def _name_problem(name: str) -> str:
    if not _is_given(name.replace(DATE, "")):
        return ""
    whole = ami_name(name)
    if len(whole) > _LONGEST_AMI_NAME:
        return f"'{whole}' has {len(whole)} characters; {_LONGEST_AMI_NAME} may be"
    if not _AMI_NAME.fullmatch(whole):
        return f"'{whole}' can't be an AMI's name here: letters, digits, spaces, and -_:. make one"
    return ""


def _is_given(text: str) -> bool:
    """Is there a text, without arguments that are missing or secret? Else nothing can be said of it yet."""
    return bool(text) and "{{" not in text


def in_words(value: Any) -> Any:
    """Options as the API says them: its names, without what is not said."""
    if isinstance(value, msgspec.Struct):
        named = {field: getattr(value, field) for field in value.__struct_fields__}
        return {camel(name): in_words(each) for name, each in named.items() if is_said(each)}
    if isinstance(value, Mapping):
        return {name: in_words(each) for name, each in value.items()}
    return [in_words(each) for each in value] if isinstance(value, list | tuple) else value


def is_said(value: Any) -> bool:
    """Does the value say something?"""
    return value is not None and value not in ("", (), [], {})


def camel(name: str) -> str:
    """A name as the API writes it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
