"""The tables of options that stand in those of the targets: what Image Builder's API calls structures.

Their fields are the API's, in this project's spelling: its camelCase with underscores.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Account = Annotated[str, Meta(pattern=r"^(\d{12}|.*\{\{.*)$")]
Region = Annotated[str, Meta(pattern=r"^([a-z]{2}(-[a-z]+)+-\d+|.*\{\{.*)$")]
LogGroup = Annotated[str, Meta(pattern=r"^([a-zA-Z0-9\-_/.]{1,512}|.*\{\{.*)$")]
Group = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][-A-Za-z0-9_+#]{0,99}|.*\{\{.*)$")]
Tags = Annotated[dict[str, str], Meta(max_length=50)]


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
    parallel_group: Group | None = None
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
