"""What machine images in AWS have in common, whoever bakes them: how AWS is asked, and their bases."""

from __future__ import annotations

from imgbake.api import ResolveContext, Resolved, hookimpl


@hookimpl
def imgbake_resolve(kind: str, reference: str, ctx: ResolveContext) -> Resolved | None:
    """Bases of machine images: an AMI's id, an SSM parameter, a filter, and scratch."""
    if kind != "ami":
        return None
    from imgbake_aws import bases

    return bases.resolve(reference, ctx)


@hookimpl
def imgbake_commands() -> list[tuple[str, object]]:
    """`imgbake ami`."""
    from imgbake_aws.commands import app

    return [("ami", app)]
