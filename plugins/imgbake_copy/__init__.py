"""The destinations `registry` and `layout`: where containers go, each part of them read once."""

from __future__ import annotations

from imgbake.api import Destination, hookimpl


@hookimpl
def imgbake_destinations() -> list[type[Destination]]:
    """The kinds `registry` and `layout`."""
    from imgbake_copy.layout import Layout
    from imgbake_copy.registry import Registry

    return [Registry, Layout]
