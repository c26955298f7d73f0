"""The operating systems that Image Builder supports. Data, as its user guide lists them."""

from __future__ import annotations

import re

import msgspec

from imgbake.api import BakeError, did_you_mean

_ASIDE = re.compile(r"\(.*?\)|\.x\b|\b(?:microsoft|lts)\b")
_SHORT = {
    "rhel": "red hat enterprise linux",
    "sle": "suse linux enterprise server",
    "sles": "suse linux enterprise server",
}


class System(msgspec.Struct, frozen=True):
    """An operating system: its platform, and what a component that runs on it says that it supports."""

    name: str
    platform: str  # "Linux", "Windows" or "macOS"
    supported: str  # of `supportedOsVersions`


def _family(platform: str, name: str, versions: str, supported: str = "") -> tuple[System, ...]:
    return tuple(
        System(f"{name} {version}", platform, f"{supported or name} {version}")
        for version in versions.split(", ")
    )


SYSTEMS: tuple[System, ...] = (
    *_family("Linux", "Amazon Linux", "2, 2023"),
    *_family("Linux", "CentOS", "7, 8"),
    *_family("Linux", "CentOS Stream", "8"),
    *_family("macOS", "macOS", "12, 13, 14"),
    *_family("Linux", "Red Hat Enterprise Linux", "7, 8, 9"),
    *_family("Linux", "SUSE Linux Enterprise Server", "12, 15"),
    *_family("Linux", "Ubuntu", "18.04, 20.04, 22.04, 24.04"),
    *_family("Windows", "Windows Server", "2012 R2, 2016, 2019, 2022", "Microsoft Windows Server"),
)


def find(name: str) -> System:
    """The system of this name, however it is spelt. Raises BakeError that lists them all."""
    found = _BY_NAME.get(_folded(name))
    if found is None:
        names = [system.name for system in SYSTEMS]
        near = did_you_mean(name, names)
        listed = f"supported are {', '.join(names)}"
        hint = f"{near} {listed}" if near.startswith("did you mean") else listed
        raise BakeError(f"Image Builder does not support the operating system '{name}'", hint=hint)
    return found


def _folded(name: str) -> str:
    """A name without what people spell in different ways: `RHEL 9`, `ubuntu 22.04 LTS`, `macOS 14.x`."""
    text = _ASIDE.sub("", name.lower())
    text = re.sub(r"\bmac os( x)?\b", "macos", text)
    words = re.sub(r"[^a-z0-9.]+", " ", text).split()
    return " ".join(_SHORT.get(word, word) for word in words)


_BY_NAME = {_folded(system.name): system for system in SYSTEMS}
