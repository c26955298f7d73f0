"""A region of an account: where we ask AWS, and as whom."""

from __future__ import annotations

import msgspec

from imgbake_aws import sdk


class Site(msgspec.Struct, frozen=True):
    """A region, and who we are there: a profile of AWS's configuration, or a role that it may assume."""

    region: str
    profile: str = ""
    role: sdk.Role = sdk.NOBODY_ELSE

    def client(self, service: str) -> sdk.Client:
        """A client of a service there. Raises BakeError."""
        return sdk.client(service, self.region, self.profile, role=self.role)

    def account(self) -> str:
        """The account that we are in. Raises BakeError."""
        with sdk.asking(f"sts:GetCallerIdentity in {self.region}"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def __str__(self) -> str:
        """As it stands in the names of what is there; the region alone where that is all that was said."""
        said = {"region": self.region, "profile": self.profile, "role": self.role.arn}
        return ",".join(f"{key}={value}" for key, value in said.items() if value)
