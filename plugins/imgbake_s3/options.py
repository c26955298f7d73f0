"""The options of a destination in S3."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from imgbake.api import is_given
from imgbake_copy.options import Options

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Options(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a destination with `uses = "s3"`."""

    bucket: Annotated[str, msgspec.Meta(description="The bucket. It must be there.")]
    prefix: Annotated[
        str,
        msgspec.Meta(
            description="Where in the bucket the OCI layout is, such as `images/shop`; with a slash at its "
            "end, that of each image is below it. Images stand beside what is there."
        ),
    ] = ""
    region: Annotated[
        str, msgspec.Meta(description="The bucket's region. Without, the one of AWS's configuration.")
    ] = ""
    profile: Annotated[
        str, msgspec.Meta(description="A profile of AWS's configuration. Without, what its own tools take.")
    ] = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be."""
        super().__post_init__()
        if is_given(self.bucket) and not _BUCKET.fullmatch(self.bucket):
            raise ValueError("`bucket`: a name has 3 to 63 lower case letters, digits, dots and dashes")
        if self.prefix.startswith("/") or "//" in self.prefix or ":" in self.prefix:
            raise ValueError("`prefix`: write a path without a slash at its start, `//` or a colon")

    def of(self, image: str) -> str:
        """The address of the layout of an image: s3://BUCKET/PREFIX."""
        place = self.prefix + image if self.prefix.endswith("/") else self.prefix
        return f"s3://{self.bucket}/{place}".rstrip("/")
