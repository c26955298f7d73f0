"""The plugin: apart from the package, which every sandbox loads without what is installed."""

from __future__ import annotations

from imgbake.api import Runner, hookimpl


@hookimpl
def imgbake_runners() -> list[type[Runner]]:
    """The one kind."""
    from imgbake_sandbox.sandbox import Sandbox

    return [Sandbox]
