"""Arguments that builders define, so that no ARG must declare them before they can be given."""

from __future__ import annotations

from collections.abc import Mapping

from imgbake_dockerfile.platforms import Platform

_PLATFORM = tuple(
    side + part for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
)
_STAGE = "TARGETSTAGE"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")

PREDEFINED = frozenset({*_PLATFORM, _STAGE, "SOURCE_DATE_EPOCH", *_PROXIES, *map(str.lower, _PROXIES)})
"""Those with a meaning of their own; besides them, all that start with `BUILDKIT_`."""


def is_predefined(name: str) -> bool:
    """Can this argument be given to any build?"""
    return name in PREDEFINED or name.startswith("BUILDKIT_")


def values(build: Platform, target: Platform, stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """What FROM can use without an ARG, and stages after one: the platforms, and the target stage."""
    found = {
        "BUILDPLATFORM": build.short,
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        _STAGE: stage or "default",
    }
    return {name: given.get(name, value) for name, value in found.items()}


def is_of_platform(name: str) -> bool:
    """Does it say for what is built, or on what? Only BuildKit has these."""
    return name in _PLATFORM or name == _STAGE
