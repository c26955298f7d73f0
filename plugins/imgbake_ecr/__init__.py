"""The destination `ecr`: registries of Amazon's, with passwords and repositories made as needed."""

from __future__ import annotations

from imgbake.api import Destination, hookimpl


@hookimpl
def imgbake_destinations() -> list[type[Destination]]:
    """The kind `ecr`."""
    from imgbake_ecr.destination import Ecr

    return [Ecr]
