"""What options can't be, which is refused while the recipe is read. Pure.

Of arguments that are missing or secret nothing can be said yet.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from imgbake.api import BakeError
from imgbake_aws.sites import REGION, is_given
from imgbake_image_builder import systems
from imgbake_image_builder.tables import Volume

if TYPE_CHECKING:
    from imgbake_image_builder.options import AmiOptions, Common, ContainerOptions

Problems = Iterator[tuple[str, str]]
"""What can't be, with the key that it is about."""

DATE = "{{ imagebuilder:buildDate }}"
_NOT_IN_RESOURCE_TAGS = ("CreatedBy", "Ec2ImageBuilderArn", "Name", "Tags")
_AMI_NAME = re.compile(r"[-_A-Za-z0-9{][-_A-Za-z0-9\s:{}.]+[-_A-Za-z0-9}]")
_LONGEST_AMI_NAME = 127
_CRON_FIELDS = 6
_LONGEST_USER_DATA = 21847  # characters in base64
_WATERMARK = re.compile(r"[\w()\[\]./'@-][\w ()\[\]./'@-]{1,126}[\w()\[\]./'@-]", re.ASCII)
_OBJECT = re.compile(r"s3://[^/]+/.+")


def of_both(said: Common) -> Problems:
    """What neither target can do."""
    if is_given(said.os):
        try:
            systems.find(said.os)
        except BakeError as error:
            yield "os", f"{error.message}; {error.hint}"
    if is_given(said.region) and not REGION.fullmatch(said.region):
        yield "region", f"'{said.region}' is no region; they look like eu-west-1"
    yield from _of_machines(said)
    scanning = said.scanning
    if scanning and scanning.scan_result_condition and not scanning.image_scanning_enabled:
        yield "scanning", "nothing is scanned, so there is nothing to judge by `scan_result_condition`"
    if said.workflows and not said.execution_role:
        yield "workflows", "they need `execution_role`, the role that runs them"
    if said.pipeline and said.pipeline.schedule:
        expression = said.pipeline.schedule.schedule_expression
        if problem := schedule_problem(expression):
            yield "pipeline", f"'{expression}' {problem}"


def of_amis(said: AmiOptions) -> Problems:
    """What the target for AMIs can't do."""
    yield from _of_regions([each.region for each in said.distribution])
    for name in (said.ami_name, *(each.name for each in said.distribution)):
        if problem := _name_problem(name):
            yield "ami_name" if name == said.ami_name else "distribution", problem
    if len(base64.b64encode(said.user_data.encode())) > _LONGEST_USER_DATA:
        yield "user_data", f"has {len(said.user_data.encode())} bytes; some 16000 may be"
    for mark in said.ami_watermarks:
        if is_given(mark) and not _WATERMARK.fullmatch(mark):
            yield "ami_watermarks", f"'{mark}': 3 to 128 letters, digits, inner spaces, and ()[]./'@_-"
    for volume in said.volumes:
        yield from _of_volume("volumes", volume)


def of_containers(said: ContainerOptions) -> Problems:
    """What the target for containers can't do."""
    yield from _of_regions([each.region for each in said.distribution])
    if said.dockerfile_template and said.dockerfile_template_uri:
        yield "dockerfile_template_uri", "there is a `dockerfile_template` already: remove one"
    uri = said.dockerfile_template_uri
    if is_given(uri) and not _OBJECT.fullmatch(uri):
        yield "dockerfile_template_uri", f"'{uri}' is no s3://BUCKET/KEY"
    for volume in said.instance_volumes:
        yield from _of_volume("instance_volumes", volume)
    if said.http_tokens == "required" and (said.http_put_response_hop_limit or 1) < 2:
        yield "http_put_response_hop_limit", "containers reach the metadata service from 2 hops on"


def _of_regions(regions: Sequence[str]) -> Problems:
    for region in dict.fromkeys(regions):
        if regions.count(region) > 1:
            yield "distribution", f"{region} is named twice"


def _of_machines(said: Common) -> Problems:
    if said.subnet_id and not said.security_group_ids:
        yield "subnet_id", "needs `security_group_ids`, too"
    for name in said.resource_tags:
        if name.lower().startswith("aws:") or name in _NOT_IN_RESOURCE_TAGS:
            yield "resource_tags", f"'{name}' is a tag of Image Builder's own"
    for key, tags in (("tags", said.tags), ("resource_tags", said.resource_tags)):
        for name in tags:
            if name.lower().startswith("aws:"):
                yield key, f"'{name}': tags that begin with aws: belong to AWS"
    is_macos = is_given(said.os) and _platform(said.os) == "macOS"
    hosted = said.placement is not None and (said.placement.host_id or said.placement.host_resource_group_arn)
    if is_macos and not hosted:
        yield "placement", "macOS runs on dedicated hosts: name `host_id` or `host_resource_group_arn`"


def _platform(os: str) -> str:
    try:
        return systems.find(os).platform
    except BakeError:
        return ""


def _of_volume(key: str, volume: Volume) -> Problems:
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
    if not is_given(name.replace(DATE, "")):
        return ""
    whole = ami_name(name)
    if len(whole) > _LONGEST_AMI_NAME:
        return f"'{whole}' has {len(whole)} characters; {_LONGEST_AMI_NAME} may be"
    if not _AMI_NAME.fullmatch(whole):
        return f"'{whole}' can't be an AMI's name here: letters, digits, spaces, and -_:. make one"
    return ""
