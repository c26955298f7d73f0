"""The target `packer`: machine images baked by Packer, from a template that imgbake writes."""

from __future__ import annotations

from imgbake.api import Format, ResolveContext, Resolved, Target, hookimpl


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


@hookimpl
def imgbake_resolve(kind: str, reference: str, ctx: ResolveContext) -> Resolved | None:
    """Bases of machine images: an AMI's id, an SSM parameter, a filter, and scratch."""
    if kind != "ami":
        return None
    from imgbake_packer import bases

    return bases.resolve(reference, ctx)
