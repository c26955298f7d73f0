"""The options of `ami-region`, and what is refused while the recipe is read."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from imgbake.api import UsageError, parse_age
from imgbake_aws import sdk, sites
from imgbake_aws.sites import ACCOUNT, Site, is_given

_ORGANIZATION = re.compile(r"arn:aws[^:]*:organizations::\d{12}:organization/o-[a-z0-9]+")
_UNIT = re.compile(r"arn:aws[^:]*:organizations::\d{12}:ou/o-[a-z0-9]+/ou-[a-z0-9-]+")
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")
PARAMETER = re.compile(r"(?!/?(?:aws|ssm))(?:/[\w.\-/]*|[\w.\-]+)", re.ASCII | re.IGNORECASE)
_LONGEST_DEPRECATION = 3650 * 86400.0  # ten years, in seconds

Strings = tuple[str, ...]


def _said(text: str) -> Meta:
    return Meta(description=text)


class LaunchTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A launch template that gets a version with the AMI: by its id or its name."""

    id: str = ""
    name: str = ""
    set_default: bool = True  # make that version the default one

    def __post_init__(self) -> None:
        """Raises ValueError for one that says neither or both."""
        if bool(self.id) == bool(self.name):
            raise ValueError("`id` or `name`: say one of them")

    def __str__(self) -> str:
        return self.id or self.name


class FastLaunch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Snapshots that stand ready, from which Windows starts faster."""

    snapshots: Annotated[int, Meta(ge=1, le=10000)] = 5
    max_parallel_launches: Annotated[int, Meta(ge=6)] = 6
    launch_template: str = ""  # that prepares them, by its id or its name
    launch_template_version: str = "$Default"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a destination with `uses = "ami-region"`."""

    region: Annotated[str, _said("The region that gets the AMI.")]
    profile: Annotated[str, _said("The profile of AWS's configuration. Default: AWS_PROFILE.")] = ""
    role_arn: Annotated[
        str, _said("A role to assume there. When it belongs to another account, that account gets a copy.")
    ] = ""
    external_id: Annotated[str, _said("What the role's owner wants to hear.")] = ""
    name: Annotated[
        str, _said("The name of the copy, which EC2 allows once in a region. Default: that of the AMI.")
    ] = ""
    description: Annotated[
        str, Meta(max_length=255), _said("What the AMI says of itself. Default: what it said before.")
    ] = ""
    tags: Annotated[
        dict[str, str],
        Meta(max_length=40),
        _said("Tags of the AMI and its snapshots, besides those that it has."),
    ] = {}
    encrypted: Annotated[bool, _said("Encrypt the copy's snapshots, with the account's key for EBS.")] = False
    kms_key_id: Annotated[str, _said("Encrypt them with this key of the region.")] = ""
    accounts: Annotated[Strings, Meta(max_length=1536), _said("Accounts that may launch it.")] = ()
    organizations: Annotated[
        Strings, Meta(max_length=25), _said("ARNs of organizations whose accounts may launch it.")
    ] = ()
    organizational_units: Annotated[
        Strings, Meta(max_length=25), _said("ARNs of organizational units whose accounts may launch it.")
    ] = ()
    public: Annotated[bool, _said("Everybody may launch it.")] = False
    share_snapshots: Annotated[
        bool, _said("`accounts`, and with `public` everybody, may make volumes of its snapshots, too.")
    ] = False
    ssm_parameter: Annotated[
        str | Strings,
        _said(
            "The parameter of Systems Manager that holds its id, or several; with a slash at its end, the "
            "place below which each image and tag has one: `/amis/` has `/amis/shop/stable`."
        ),
    ] = ()
    ssm_data_type: Annotated[
        Literal["aws:ec2:image", "text"],
        _said("The type of new parameters: `aws:ec2:image` holds nothing but ids of AMIs that are there."),
    ] = "aws:ec2:image"
    launch_templates: Annotated[
        tuple[LaunchTemplate, ...],
        Meta(max_length=100),
        _said("Launch templates that get a version with it, which becomes the default one."),
    ] = ()
    deprecate_after: Annotated[
        str, _said("How long after it was made it is deprecated, such as `180d`; at most ten years.")
    ] = ""
    deprecate_at: Annotated[str, _said("When it is deprecated, such as `2027-06-30` (UTC).")] = ""
    fast_launch: Annotated[
        FastLaunch | None, _said("Snapshots that stand ready, from which Windows starts faster.")
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    @property
    def site(self) -> Site:
        """Where it is."""
        return Site(self.region, self.profile, sdk.Role(self.role_arn, self.external_id))

    @property
    def parameters(self) -> Strings:
        """The parameters, as they were written."""
        return (self.ssm_parameter,) if isinstance(self.ssm_parameter, str) else self.ssm_parameter

    @property
    def lifetime(self) -> float | None:
        """Seconds after which it is deprecated."""
        return parse_age(self.deprecate_after, "`deprecate_after`") if self.deprecate_after else None

    @property
    def last_day(self) -> datetime.datetime | None:
        """When it is deprecated."""
        return _moment(self.deprecate_at) if self.deprecate_at else None


class HastyOptions(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same where it is only asked whether all is there: who doesn't answer soon can't tell."""

    @property
    def site(self) -> Site:
        """Where it is."""
        return msgspec.structs.replace(super().site, is_hasty=True)


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    """What can't be, with the key that it is about."""
    yield from sites.problems(said.region, said.role_arn, said.external_id)
    patterns = {
        "name": (_NAME, "can't be an AMI's name: it has 3 to 128 letters, digits, spaces and ()[]./-'@_"),
        "accounts": (ACCOUNT, "is no account: they have 12 digits"),
        "organizations": (_ORGANIZATION, "is no organization's ARN"),
        "organizational_units": (_UNIT, "is no organizational unit's ARN"),
        "ssm_parameter": (
            PARAMETER,
            "can't be a parameter's name: it has letters, digits and _.-, "
            "begins with / if there is one in it, and not with aws or ssm",
        ),
    }
    for key, (pattern, problem) in patterns.items():
        value = getattr(said, key)
        for text in (value,) if isinstance(value, str) else value:
            if is_given(text) and not pattern.fullmatch(text):
                yield key, f"'{text}' {problem}"
    if said.share_snapshots and not (said.accounts or said.public):
        yield "share_snapshots", "snapshots are shared with `accounts`, or with everybody by `public`"
    for name in said.tags:
        if name.lower().startswith(("aws:", "imgbake:")):
            yield "tags", f"'{name}': tags that begin so belong to AWS, and to imgbake"
    for key in ("ssm_parameter", "launch_templates"):
        values = said.parameters if key == "ssm_parameter" else tuple(map(str, said.launch_templates))
        for value in dict.fromkeys(values):
            if values.count(value) > 1:
                yield key, f"'{value}' is named twice"
    yield from _problems_of_time(said)


def _problems_of_time(said: Options) -> Iterator[tuple[str, str]]:
    if said.deprecate_after and said.deprecate_at:
        yield "deprecate_at", "there is a `deprecate_after` already: remove one"
    try:
        if is_given(said.deprecate_after) and not 60 <= (said.lifetime or 0) <= _LONGEST_DEPRECATION:
            yield "deprecate_after", f"'{said.deprecate_after}' is not between a minute and ten years"
    except UsageError:
        yield "deprecate_after", f"'{said.deprecate_after}' is no time span; write 180d, 12h or 30m"
    try:
        if is_given(said.deprecate_at):
            _moment(said.deprecate_at)
    except ValueError:
        yield "deprecate_at", f"'{said.deprecate_at}' is no date; write 2027-06-30 or 2027-06-30T12:00"


def _moment(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
