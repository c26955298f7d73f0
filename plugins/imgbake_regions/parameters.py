"""Parameters of Systems Manager that hold an AMI's id."""

from __future__ import annotations

import time
from collections.abc import Callable

from imgbake.api import BakeError
from imgbake_aws import sdk
from imgbake_aws.sites import Site
from imgbake_regions.waiting import pause

_SECRET = "SecureString"
_SETTLED = 30.0  # seconds in which SSM looks whether an AMI is there, before it takes its id


def current(site: Site, name: str) -> str:
    """What the parameter holds, empty when there is none. Raises BakeError."""
    with sdk.asking(f"ssm:GetParameter {name} in {site.region}"):
        ssm = site.client("ssm")
        try:
            found = ssm.get_parameter(Name=name)["Parameter"]
        except ssm.exceptions.ParameterNotFound:
            return ""
    if found["Type"] == _SECRET:
        hint = "name another parameter, or remove it"
        raise BakeError(f"the parameter {name} in {site.region} holds a secret", hint=hint)
    return str(found["Value"])


def put(site: Site, name: str, value: str, data_type: str, check: Callable[[], None]) -> None:
    """Lets the parameter hold an id. Raises BakeError."""
    with sdk.asking(f"ssm:PutParameter {name} in {site.region}"):
        site.client("ssm").put_parameter(
            Name=name, Value=value, Type="String", DataType=data_type, Overwrite=True
        )
    end, seconds = time.monotonic() + _SETTLED, 0.2
    while current(site, name) != value and time.monotonic() < end:
        pause(seconds, check)
        seconds *= 1.5


def remove(site: Site, name: str) -> None:
    """Removes the parameter. Raises BakeError."""
    with sdk.asking(f"ssm:DeleteParameter {name} in {site.region}"):
        site.client("ssm").delete_parameter(Name=name)
