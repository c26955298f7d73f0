"""Platforms as builders write them: `os[(version)]/architecture[/variant]`, or one of the two alone.

The names are containerd's; other common ones (`x86_64`, `aarch64`, `macos`) are understood.
"""

from __future__ import annotations

import platform as machine
import re

import msgspec

from imgbake_dockerfile.located import one_of

_OS = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?")
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = re.compile(
    "aix|android|darwin|dragonfly|freebsd|hurd|illumos|ios|js|linux|nacl|netbsd|openbsd|plan9|solaris"
    "|windows|zos"
)
_ARCHITECTURES = re.compile(
    "386|amd64|amd64p32|arm|armbe|arm64|arm64be|ppc64|ppc64le|loong64|mips|mipsle|mips64|mips64le|mips64p32"
    "|mips64p32le|ppc|riscv|riscv64|s390|s390x|sparc|sparc64|wasm"
)
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"},
}
_ALIASES = {
    "i386": "386",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
}
_EXAMPLES = ("linux/amd64", "linux/arm64", "linux/arm/v7")


class BadPlatform(ValueError):
    """A text that names no platform."""


class Platform(msgspec.Struct, frozen=True):
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""
    version: str = ""  # of the os: Windows images have one

    def __str__(self) -> str:
        version = f"({self.version})" if self.version else ""
        return "/".join(filter(None, (self.os + version, self.architecture, self.variant)))

    @property
    def short(self) -> str:
        """The same without the os's version."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def platform(text: str) -> Platform:
    """The platform that a text names. Raises BadPlatform."""
    first, *rest = text.split("/")
    system = _OS.fullmatch(first)
    if system is None or len(rest) > 2 or not all(map(_PART.fullmatch, rest)):
        raise BadPlatform(f"'{text}' is no platform: write one like {one_of(_EXAMPLES)}")
    os, version = _system(system[1]), system[2] or ""
    if rest:
        architecture, variant = _architecture(rest[0], rest[1] if len(rest) > 1 else "")
        if architecture == "arm" and variant == "v7" and len(rest) == 1:
            variant = ""  # what `linux/arm` means anyway
        if architecture == "arm64" and not variant and len(rest) > 1:
            variant = "v8"
        return Platform(os, architecture, variant, version)
    if _SYSTEMS.fullmatch(os):
        return Platform(os, host().architecture, host().variant, version)
    architecture, variant = _architecture(first, "")
    if not _ARCHITECTURES.fullmatch(architecture):
        raise BadPlatform(f"'{text}' is no os and no architecture: write one like {one_of(_EXAMPLES)}")
    return Platform("linux", architecture, "" if (architecture, variant) == ("arm", "v7") else variant)


def normal(found: Platform) -> Platform:
    """The one way to write it: `linux/arm64`, not `linux/arm64/v8`."""
    architecture, variant = _architecture(found.architecture, found.variant)
    return Platform(_system(found.os), architecture, variant, found.version)


def host() -> Platform:
    """This machine's platform, with Linux as its os: that is what builders make by default."""
    name = machine.machine().lower()
    if name.startswith("armv") and name[4:5].isdigit():
        return Platform("linux", "arm", f"v{name[4]}")
    return Platform("linux", *_architecture(name, ""))


def _system(name: str) -> str:
    return "darwin" if name.lower() == "macos" else name.lower()


def _architecture(name: str, variant: str) -> tuple[str, str]:
    name, variant = name.lower(), variant.lower()
    known = _ALIASES.get(name, name)
    if name in ("armhf", "armel"):
        return known, "v7" if name == "armhf" else "v6"
    if name == "i386":
        return known, ""
    return known, _VARIANTS.get(known, {}).get(variant, variant)
