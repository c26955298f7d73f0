"""A look at an image from inside: the finished one, or what the commands of a component find."""

from __future__ import annotations

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, RunContext
from imgbake_oci import bases, testing
from imgbake_oci.compression import Format
from imgbake_oci.running import RUNNER
from imgbake_oci.stacking import found_by


def shell(
    artifact: Artifact | None,
    blueprint: Blueprint,
    at: str,
    commands: tuple[str, ...],
    format: Format,
    ctx: RunContext,
) -> int:
    """Runs commands for the user, or a shell, in a throw-away copy. Raises BakeError."""
    runner = ctx.runner(RUNNER)
    if at:
        base = bases.fetch(blueprint.base, None, format, ctx)
        stack, surroundings = found_by(at, blueprint, base, format, ctx)
    elif artifact is None:
        raise BakeError("the image is not built")
    else:
        stack, surroundings = testing.finished(artifact, ctx)
    return runner.shell(stack, msgspec.structs.replace(surroundings, commands=commands), ctx)
