"""A region of an account: where we ask AWS, and as whom."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from imgbake_aws import sdk

ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
_ROLE = re.compile(r"arn:aws[^:]*:iam::\d{12}:role/.+")


class Site(msgspec.Struct, frozen=True):
    """A region, and who we are there: a profile of AWS's configuration, or a role that it may assume."""

    region: str
    profile: str = ""
    role: sdk.Role = sdk.NOBODY_ELSE
    is_hasty: bool = False  # are we to give up soon?

    def client(self, service: str) -> sdk.Client:
        """A client of a service there. Raises BakeError."""
        return sdk.client(service, self.region, self.profile, is_hasty=self.is_hasty, role=self.role)

    def account(self) -> str:
        """The account that we are in. Raises BakeError."""
        with sdk.asking(f"sts:GetCallerIdentity in {self.region}"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def __str__(self) -> str:
        """As it stands in the names of what is there; the region alone where that is all that was said."""
        said = {"region": self.region, "profile": self.profile, "role": self.role.arn}
        return ",".join(f"{key}={value}" for key, value in said.items() if value)


def problems(region: str, role_arn: str, external_id: str) -> Iterator[tuple[str, str]]:
    """What is wrong with options that say where and as whom, with the key that it is about."""
    if is_given(region) and not REGION.fullmatch(region):
        yield "region", f"'{region}' is no region; they look like eu-west-1"
    if is_given(role_arn) and not _ROLE.fullmatch(role_arn):
        yield "role_arn", f"'{role_arn}' is no role; they look like arn:aws:iam::111122223333:role/NAME"
    if external_id and not role_arn:
        yield "external_id", "it is for a role, and there is no `role_arn`"


def is_given(text: str) -> bool:
    """Is there a text, without arguments that are still missing? Else nothing can be said of it yet."""
    return bool(text) and "{{" not in text
