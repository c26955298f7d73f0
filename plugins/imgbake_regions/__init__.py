"""The destination `ami-region`: AMIs in a region of an account, and what leads to them there."""

from __future__ import annotations

from imgbake.api import Destination, hookimpl


@hookimpl
def imgbake_destinations() -> list[type[Destination]]:
    """The kind `ami-region`."""
    from imgbake_regions.destination import AmiRegion

    return [AmiRegion]
