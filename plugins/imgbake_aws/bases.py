"""What machine images start from, found and pinned.

    ami-0abc…                              an id, which nothing can move
    ssm:/aws/service/…[,region=eu-west-1]  the id in a parameter of Systems Manager
    filter:owner=amazon,name=al2023-*[,architecture=arm64][,virtualization=hvm][,region=…]
                                           the newest that matches
    arn:aws:imagebuilder:…:image/NAME/x.x.x  the newest image of EC2 Image Builder's with this name
    prod-…                                 a product of AWS Marketplace, which only Image Builder can look up
    scratch                                for builders that say themselves what they start from

AMI names hold no comma, so one separates. Without a region it is the one of AWS's configuration, and
without a profile the one of the environment. A recipe may say the same in a table (`Searched`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from imgbake.api import Artifact, BakeError, ResolveContext, Resolved, did_you_mean
from imgbake_aws import sdk

SCRATCH = "scratch"
_PRODUCT = re.compile(r"prod-[a-z0-9]+")
_ID = re.compile(r"ami-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_IMAGE = re.compile(
    r"arn:aws[^:]*:imagebuilder:([^:]+):(?:\d{12}|aws(?:-[a-z-]+)?):image/[a-z0-9-_]+/([\dx.]+)((?:/\d+)?)"
)
_VERSION = re.compile(r"\d+\.(?:\d+\.(?:\d+|x)|x\.x)|x\.x\.x")
_FORMS = 'write "ami-…", "ssm:PARAMETER", or { owner = "…", name = "…" }'
_FILTERS = {"name": "name", "architecture": "architecture", "virtualization": "virtualization-type"}
_PLACES = ("region", "profile")
_KEYS = frozenset({*_FILTERS, "owner", *_PLACES})


def _said(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Asked(msgspec.Struct, frozen=True):
    """A reference, taken apart."""

    form: str  # "id", "ssm", "filter", "image", "product"
    text: str = ""  # the id, the parameter's name, the image's, or the product's
    region: str = ""
    filters: dict[str, str] = {}
    profile: str = ""


class Searched(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A base in a table: the newest AMI that matches, or the one that a parameter names."""

    owner: Annotated[str, _said("Whose: an account, `self`, `amazon` or `aws-marketplace`.")] = ""
    name: Annotated[str, _said("Its name, where `*` and `?` stand for any text and any character.")] = ""
    architecture: Annotated[
        Literal["", "x86_64", "arm64", "i386", "x86_64_mac", "arm64_mac"], _said("Its architecture.")
    ] = ""
    virtualization: Annotated[Literal["", "hvm", "paravirtual"], _said("Its type of virtualization.")] = ""
    ssm: Annotated[str, _said("A parameter of Systems Manager that holds its id, instead of the above.")] = ""
    region: Annotated[str, _said("Where to look. Default: the region of AWS's configuration.")] = ""
    profile: Annotated[str, _said("The profile of AWS's configuration. Default: AWS_PROFILE.")] = ""

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be looked for; the key that it is about stands in backticks."""
        filters = ("owner", "name", "architecture", "virtualization")
        if self.ssm:
            for key in filters:
                if getattr(self, key):
                    raise ValueError(f"`{key}`: the parameter `ssm` says already which AMI it is")
        elif not self.owner:
            raise ValueError("`owner`: say whose AMI it is, as anybody may publish one of any name")
        elif not self.name:
            raise ValueError('`name`: say which AMIs of the owner, as in "al2023-ami-2023.*"')
        for key in self.__struct_fields__:
            if "," in getattr(self, key):
                raise ValueError(f"`{key}`: a comma stands in none of what AWS has")

    def reference(self) -> str:
        """The same as text, which the graph and imgbake.lock have."""
        pairs = [
            f"{key}={value}"
            for key in self.__struct_fields__
            if key != "ssm" and (value := getattr(self, key))
        ]
        return ",".join([f"ssm:{self.ssm}", *pairs]) if self.ssm else "filter:" + ",".join(pairs)


def resolve(reference: str, ctx: ResolveContext) -> Resolved:
    """Pins a base to the id of an AMI. Raises BakeError when there is none."""
    if reference == SCRATCH:
        return Resolved(Artifact("ami", reference=SCRATCH))
    asked = parse(reference)
    if asked.form in ("id", "product"):
        return Resolved(Artifact("ami", asked.text, reference))
    if pinned := ctx.pinned("bases", reference):
        if not _ID.fullmatch(pinned):
            hint = "`imgbake lock --upgrade` writes it anew"
            raise BakeError(f"imgbake.lock pins {reference} to {pinned!r}, which is no AMI", hint=hint)
        return Resolved(Artifact("ami", pinned, reference, _facts(asked.region, pinned, "")))
    ec2 = sdk.client("ec2", asked.region, asked.profile)
    region = str(ec2.meta.region_name)
    if asked.form == "image":
        found = _by_id(ec2, _of_image(asked), reference)
    elif asked.form == "ssm":
        found = _by_id(ec2, _parameter(asked, region), reference)
    else:
        found = _newest(ec2, asked, reference)
    facts = _facts(region, found["ImageId"], found.get("Architecture", ""))
    return Resolved(Artifact("ami", found["ImageId"], reference, facts), volatile=True)


def parse(reference: str) -> Asked:
    """Takes a reference apart. Raises BakeError for one that says nothing."""
    if _ID.fullmatch(reference):
        return Asked("id", reference)
    if is_product(reference):
        return Asked("product", reference)
    if reference.startswith("arn:"):
        return _image(reference)
    form, colon, rest = reference.partition(":")
    if not colon or form not in ("ssm", "filter"):
        raise BakeError(f"'{reference}' names no AMI", hint=_FORMS)
    name, *pairs = rest.split(",") if form == "ssm" else ["", *rest.split(",")]
    said: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value or key not in (_PLACES if form == "ssm" else _KEYS):
            hint = did_you_mean(key, _KEYS) or _FORMS
            raise BakeError(f"'{reference}': '{pair.strip()}' is no condition for an AMI", hint=hint)
        said[key] = value
    region, profile = (said.pop(key, "") for key in _PLACES)
    if form == "ssm":
        if not name.strip():
            raise BakeError(f"'{reference}' names no parameter", hint=_FORMS)
        return Asked("ssm", name.strip(), region, profile=profile)
    for needed in ("owner", "name"):
        if needed not in said:
            hint = "anybody may publish an AMI of any name" if needed == "owner" else _FORMS
            raise BakeError(f"'{reference}' says no {needed}", hint=hint)
    return Asked("filter", "", region, said, profile)


def is_product(reference: str) -> bool:
    """Is it a product of AWS Marketplace, of which nobody but Image Builder knows the AMI?"""
    return _PRODUCT.fullmatch(reference) is not None


def _image(reference: str) -> Asked:
    found = _IMAGE.fullmatch(reference)
    if found is None:
        hint = "arn:aws:imagebuilder:REGION:aws:image/NAME/x.x.x is the newest of Amazon's"
        raise BakeError(f"'{reference}' is no image of EC2 Image Builder", hint=hint)
    region, version, build = found.groups()
    if not _VERSION.fullmatch(version) or (build and "x" in version):
        hint = "what follows an x is an x, and only a whole version has builds"
        raise BakeError(f"'{reference}': '{version}{build}' is no version", hint=hint)
    return Asked("image", reference, region)


def _facts(region: str, ami: str, architecture: str) -> dict[str, Any]:
    """What is known of it; `regions` is what baked AMIs have, too."""
    found: dict[str, Any] = {"regions": {region: ami}} if region else {}
    return found | ({"architecture": architecture} if architecture else {})


def _parameter(asked: Asked, region: str) -> str:
    with sdk.asking(f"ssm:GetParameter {asked.text} in {region}"):
        ssm = sdk.client("ssm", region, asked.profile)
        try:
            value = str(ssm.get_parameter(Name=asked.text)["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            message = f"there is no SSM parameter '{asked.text}' in {region}"
            raise BakeError(message, hint="parameters belong to a region: add ,region=…") from None
    if not _ID.fullmatch(value):
        raise BakeError(f"the SSM parameter '{asked.text}' holds {value[:40]!r}, which is no AMI's id")
    return value


def _of_image(asked: Asked) -> str:
    """The AMI of an image of Image Builder, in the image's region."""
    with sdk.asking(f"imagebuilder:GetImage {asked.text}"):
        service = sdk.client("imagebuilder", asked.region, asked.profile)
        try:
            found = service.get_image(imageBuildVersionArn=asked.text)["image"]
        except service.exceptions.ResourceNotFoundException:
            raise BakeError(
                f"Image Builder has no image {asked.text}", hint="is it shared with you?"
            ) from None
    status = found.get("state", {}).get("status", "")
    if status != "AVAILABLE":
        hint = "name a version that is, or wait until it is"
        raise BakeError(f"{found['arn']} is {status.lower()}, and not available", hint=hint)
    for made in found.get("outputResources", {}).get("amis", ()):
        if made.get("region") == asked.region and made.get("image"):
            return str(made["image"])
    raise BakeError(f"{found['arn']} has no AMI in {asked.region}", hint="is it an image of a container?")


def _by_id(ec2: sdk.Client, ami: str, reference: str) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    with sdk.asking(f"ec2:DescribeImages {ami}"):
        try:
            images = ec2.describe_images(ImageIds=[ami])["Images"]
        except ClientError as error:
            if not sdk.code_of(error).startswith("InvalidAMIID"):
                raise
            images = []
    if not images:
        message = f"{reference} means {ami}, which is not there or not shared with this account"
        raise BakeError(message)
    found: dict[str, Any] = images[0]
    return found


def _newest(ec2: sdk.Client, asked: Asked, reference: str) -> dict[str, Any]:
    """The AMI that was made last; of two of the same second the one with the greater id."""
    filters = [
        {"Name": _FILTERS[key], "Values": [value]} for key, value in asked.filters.items() if key in _FILTERS
    ]
    filters.append({"Name": "state", "Values": ["available"]})
    with sdk.asking(f"ec2:DescribeImages for {reference}"):
        pages = ec2.get_paginator("describe_images").paginate(
            Owners=[asked.filters["owner"]], Filters=filters
        )
        images = [image for page in pages for image in page["Images"]]
    if not images:
        message = f"no AMI in {ec2.meta.region_name} matches {reference}"
        raise BakeError(message, hint="is the owner right, and the region? add ,region=…")
    found: dict[str, Any] = max(images, key=lambda image: (image["CreationDate"], image["ImageId"]))
    return found
