"""The options of `ecr`, and what is refused while the recipe is read."""

from __future__ import annotations

import json
import re
from typing import Annotated

import msgspec
from msgspec import Meta

from imgbake.api import BakeError
from imgbake_aws import sdk, sites
from imgbake_aws.sites import ACCOUNT, Site, is_given
from imgbake_copy.options import Options as CopyOptions
from imgbake_copy.options import RegistryOptions

_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")


def _said(text: str) -> Meta:
    return Meta(description=text)


class Create(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a repository that is made is like."""

    scan_on_push: bool = False
    immutable_tags: bool = False  # a tag is never moved
    mutable_tags: Annotated[
        tuple[str, ...], Meta(max_length=5)
    ] = ()  # but for these, as in "latest", "dev-*"
    kms_key: str = ""  # encrypt with this key, or with "alias/aws/ecr", instead of AES-256
    lifecycle_policy: str = ""  # JSON
    policy: str = ""  # JSON: who else may pull and push
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; the key that it is about stands in backticks."""
        if self.mutable_tags and not self.immutable_tags:
            raise ValueError("`mutable_tags`: all tags can be moved without `immutable_tags`")
        for tag in self.mutable_tags:
            if not _FILTER.fullmatch(tag):
                raise ValueError(f"`mutable_tags`: '{tag}' is no tag, and no pattern with *")
        for key in ("lifecycle_policy", "policy"):
            text = getattr(self, key)
            if is_given(text):
                try:
                    json.loads(text)
                except ValueError as error:
                    raise ValueError(f"`{key}`: is no JSON: {error}") from None


class Options(CopyOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a destination with `uses = "ecr"`."""

    account: Annotated[str, _said("The account whose registry it is, 12 digits.")]
    region: Annotated[str, _said("The region of the registry.")]
    repository: Annotated[
        str,
        _said(
            "The repository, such as `team/shop`; with a slash at its end, that of each image is named "
            "below it."
        ),
    ]
    profile: Annotated[str, _said("The profile of AWS's configuration. Default: AWS_PROFILE.")] = ""
    role_arn: Annotated[str, _said("A role to assume for the registry.")] = ""
    external_id: Annotated[str, _said("What the role's owner wants to hear.")] = ""
    create: Annotated[
        Create | None, _said("Make a repository that is missing, and how: `{}` as ECR does by default.")
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be; the key that it is about stands in backticks."""
        super().__post_init__()
        for key, problem in sites.problems(self.region, self.role_arn, self.external_id):
            raise ValueError(f"`{key}`: {problem}")
        if is_given(self.account) and not ACCOUNT.fullmatch(self.account):
            raise ValueError(f"`account`: '{self.account}' is no account: they have 12 digits")
        if all(map(is_given, (self.account, self.region, self.repository))):
            try:
                self.at(self.home)
            except (BakeError, msgspec.ValidationError, ValueError) as error:
                raise ValueError(f"`repository`: '{self.repository}' is no repository's name") from error

    @property
    def site(self) -> Site:
        """Where it is."""
        return Site(self.region, self.profile, sdk.Role(self.role_arn, self.external_id))

    @property
    def home(self) -> str:
        """The host of the registry, as everybody names it."""
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"{self.account}.dkr.ecr.{self.region}.{suffix}"

    def at(self, host: str) -> RegistryOptions:
        """The same repositories, at a host, as any registry's. Raises ValueError."""
        return RegistryOptions(
            repository=f"{host}/{self.repository}", platforms=self.platforms, referrers=self.referrers
        )
