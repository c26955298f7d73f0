"""Which image of an index serves a platform, chosen as containerd does.

Operating system and architecture must agree; of the variants, the best one that the wanted platform
can run is taken: the variant itself, then older ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgbake.api import BakeError
from imgbake_oci.descriptor import Descriptor, Platform

_IMPLIED = {"arm": "v7", "arm64": "v8", "amd64": "v1"}


def choose(manifests: Sequence[Descriptor], wanted: Platform, name: str) -> Descriptor:
    """The manifest for this platform; the first of several that serve equally well.

    `name` is of the image, for the error: BakeError lists what there is.
    """
    runnable = _variants(wanted)
    ranked = [
        (runnable.index(variant), place)
        for place, manifest in enumerate(manifests)
        if manifest.platform
        and (manifest.platform.os, manifest.platform.architecture) == (wanted.os, wanted.architecture)
        and (variant := _variant(manifest.platform)) in runnable
    ]
    if ranked:
        return manifests[min(ranked)[1]]
    there = dict.fromkeys(
        str(each.platform) for each in manifests if each.platform and _is_image(each.platform)
    )
    hint = f"it has {', '.join(there)}" if there else "its index names no platform"
    raise BakeError(f"{name} has no image for {wanted}", hint=hint)


def _variants(wanted: Platform) -> list[str]:
    """The variants that the wanted platform runs, the best first."""
    variant = _variant(wanted)
    if not variant.startswith("v") or not variant[1:].replace(".", "", 1).isdecimal():
        return [variant]
    oldest = {"arm": 5, "arm64": 8, "amd64": 1}.get(wanted.architecture)
    newest = int(float(variant[1:]))
    if oldest is None:
        return [variant]
    return list(dict.fromkeys([variant, *(f"v{number}" for number in range(newest, oldest - 1, -1))]))


def _variant(platform: Platform) -> str:
    variant = platform.variant.lower()
    variant = f"v{variant}" if variant[:1].isdigit() else variant
    return variant or _IMPLIED.get(platform.architecture, "")


def _is_image(platform: Platform) -> bool:
    """Attestations lie beside images in an index, for the platform unknown/unknown."""
    return platform.os != "unknown"
