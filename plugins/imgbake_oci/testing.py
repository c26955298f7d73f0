"""The test phase: commands in a throw-away copy of the finished image, run as it says it is run."""

from __future__ import annotations

import msgspec

from imgbake.api import Artifact, Blueprint, Commands, RunContext, StackLayer
from imgbake_oci import documents, exporting
from imgbake_oci.running import RUNNER, in_phase, require_platform, surroundings


def test(artifact: Artifact, blueprint: Blueprint, ctx: RunContext) -> None:
    """Runs the tests of every component. Raises StepError when one fails."""
    stack, image = finished(artifact, ctx)
    runner = ctx.runner(RUNNER)
    for layer in blueprint.layers:
        if not layer.test:
            continue
        commands = msgspec.structs.replace(image, commands=layer.test, setup=layer.setup)
        with in_phase(layer.component, "test", ctx):
            runner.check(stack, commands, ctx)


def finished(artifact: Artifact, ctx: RunContext) -> tuple[tuple[StackLayer, ...], Commands]:
    """The layers of a baked image for this machine, and no commands in the surroundings that it gives.

    Raises BakeError when it is for other machines, whose programs can't run here.
    """
    _, manifest = exporting.one_platform(artifact, ctx.blobs, ctx.name)
    config = documents.config(ctx.blobs.path(manifest.config.digest).read_bytes(), manifest, ctx.name)
    require_platform(config.platform, ctx.name, ctx)
    stack = tuple(
        StackLayer(layer.digest, diff_id)
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )
    return stack, surroundings(config.whole.get("config") or {}, {})
