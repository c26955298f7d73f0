"""Descriptors: how one blob points at another (image-spec, descriptor.md and image-index.md)."""

from __future__ import annotations

import re

import msgspec

# The architectures that go by more than one name, as GOARCH writes them.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
    "i686": "386",
}
_PLATFORM = re.compile(r"[a-z0-9]+/[A-Za-z0-9_-]+(/[A-Za-z0-9.]+)?")


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image runs on, by GOOS and GOARCH."""

    architecture: str
    os: str
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A blob that another refers to: what it is, its digest and its size in bytes."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    platform: Platform | None = None


def platform(text: str) -> Platform:
    """The platform that `os/architecture[/variant]` names, common other spellings included.

    Raises ValueError when the text has another form.
    """
    if not _PLATFORM.fullmatch(text):
        raise ValueError(f"'{text}' is not a platform: write os/architecture, such as linux/amd64")
    os, architecture, *variant = text.split("/")
    architecture = _ARCHITECTURES.get(architecture.lower(), architecture)
    return Platform(architecture=architecture, os=os, variant=variant[0] if variant else "")
