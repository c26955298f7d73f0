"""The target `packer`: machine images baked by Packer, from a template that imgbake writes."""

from __future__ import annotations

from imgbake.api import Format, Target, hookimpl


@hookimpl
def imgbake_targets() -> list[type[Target]]:
    """The kind `packer`."""
    from imgbake_packer.target import Packer

    return [Packer]


@hookimpl
def imgbake_formats() -> list[type[Format]]:
    """The kind `template`: Packer's own templates."""
    from imgbake_packer.template import TemplateFormat

    return [TemplateFormat]
