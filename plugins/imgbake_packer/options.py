"""The options of the target `packer`, and what is refused while the recipe is read.

Where Packer has a word for something, it is the word here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from imgbake_aws.sites import ACCOUNT, REGION, is_given

_OTHER_WORDS = {
    "ami_name": "write `ami_name` of the target",
    "source_ami": "the image's `base` says it",
    "source_ami_filter": 'write it as the image\'s `base`: { ami = { owner = "…", name = "…" } }',
    "communicator": "write `communicator` of the target",
}


def _described(text: str, *, decides: bool = True) -> msgspec.Meta:
    return msgspec.Meta(description=text, extra={} if decides else {"decides": False})


class Volume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A volume of the machine and of the image that is made of it."""

    device_name: str
    volume_size: int | None = None  # GiB
    volume_type: str | None = None
    iops: int | None = None
    throughput: int | None = None  # MiB/s
    encrypted: bool | None = None
    kms_key_id: str | None = None
    snapshot_id: str | None = None
    delete_on_termination: bool = True


class Plugin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin of Packer: where it comes from, and which versions will do."""

    source: str
    version: str = ">= 1.0.0"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a target with `uses = "packer"`."""

    region: Annotated[str, _described("Where the image is baked. Default: where its base was found.")] = ""
    instance_type: Annotated[
        str,
        _described(
            "The machine that bakes. Default: t3.small, or t4g.small for a base of arm64.", decides=False
        ),
    ] = ""
    ami_name: Annotated[
        str,
        _described("The AMI's name; `-` and a time are added to make it unique. Default: IMAGE-TARGET."),
    ] = ""
    ami_description: Annotated[str, _described("What the AMI says of itself.")] = ""
    ami_regions: Annotated[tuple[str, ...], _described("Regions that the AMI is copied to.")] = ()
    ami_users: Annotated[tuple[str, ...], _described("Accounts that may use the AMI.")] = ()
    tags: Annotated[dict[str, str], _described("Tags of the AMI and its snapshots.")] = {}
    run_tags: Annotated[dict[str, str], _described("Tags of the machine and its volumes.")] = {}
    subnet_id: Annotated[str, _described("Where the machine stands.")] = ""
    vpc_id: Annotated[str, _described("Where its temporary security group is made.")] = ""
    security_group_ids: Annotated[
        tuple[str, ...], _described("Security groups of the machine, instead of a temporary one.")
    ] = ()
    associate_public_ip_address: Annotated[
        bool | None, _described("Give the machine a public address? Default: as its subnet says.")
    ] = None
    iam_instance_profile: Annotated[str, _described("The instance profile of the machine.")] = ""
    launch_block_device_mappings: Annotated[
        tuple[Volume, ...], _described("Volumes of the machine, which become the AMI's.")
    ] = ()
    encrypt_boot: Annotated[
        bool | None, _described("Encrypt the AMI's snapshots? Default: as the account says.")
    ] = None
    kms_key_id: Annotated[str, _described("The key for that. Default: the account's.")] = ""
    region_kms_key_ids: Annotated[
        dict[str, str], _described("The keys in the regions that it is copied to.")
    ] = {}
    spot_price: Annotated[
        str,
        _described("Bake on a spot instance: the highest price for an hour, or `auto`.", decides=False),
    ] = ""
    imds: Annotated[
        Literal["v1", "v2"],
        _described("With `v2` the machine and those of the AMI ask for a session token (Packer >= 1.8)."),
    ] = "v1"
    profile: Annotated[str, _described("The profile of AWS's configuration. Default: AWS_PROFILE.")] = ""
    communicator: Annotated[
        Literal["ssh", "none"], _described("How commands reach the machine; `none` runs no commands.")
    ] = "ssh"
    ssh_username: Annotated[str, _described("Who logs in; sudo must let them be root.")] = "ec2-user"
    more: Annotated[
        dict[str, Any],
        _described("What else Packer's amazon-ebs takes, by Packer's names, such as `ssh_interface`."),
    ] = {}
    builder: Annotated[
        dict[str, Any],
        _described("Another builder of Packer: its `type` and its options, instead of all the above."),
    ] = {}
    plugins: Annotated[
        dict[str, Plugin],
        _described("Plugins that Packer >= 1.7 installs. Default: those of amazon, docker and qemu."),
    ] = {}

    def __post_init__(self) -> None:
        """Raises ValueError for what can't be baked; the key that it is about stands in backticks."""
        for key, problem in _problems(self):
            raise ValueError(f"`{key}`: {problem}")

    @property
    def builder_type(self) -> str:
        """The kind of builder, in Packer's words."""
        return str(self.builder.get("type", "amazon-ebs"))


def _problems(said: Options) -> Iterator[tuple[str, str]]:
    for key, regions in (("region", [said.region]), ("ami_regions", said.ami_regions)):
        for region in filter(is_given, regions):
            if not REGION.fullmatch(region):
                yield key, f"'{region}' is no region; they look like eu-west-1"
    for account in filter(is_given, said.ami_users):
        if not ACCOUNT.fullmatch(account):
            yield "ami_users", f"'{account}' is no account; they have 12 digits"
    for word in said.more.keys() & _OTHER_WORDS.keys():
        yield "more", f"'{word}' has a place of its own: {_OTHER_WORDS[word]}"
    for word in said.more.keys() & set(said.__struct_fields__):
        yield "more", f"'{word}' is an option of the target itself"
    if said.builder:
        yield from _problems_of_builder(said)


def _problems_of_builder(said: Options) -> Iterator[tuple[str, str]]:
    if not isinstance(said.builder.get("type"), str):
        yield "builder", 'its `type` is missing, such as type = "qemu"'
    default = Options()
    beside = {"builder", "plugins"}
    for name in said.__struct_fields__:
        if name not in beside and getattr(said, name) != getattr(default, name):
            yield name, "is for amazon-ebs; with `builder` it stands in that table, by Packer's name"
