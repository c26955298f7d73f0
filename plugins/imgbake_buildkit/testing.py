"""The phase test: a component's commands on the finished image, by a build of which nothing is kept."""

from __future__ import annotations

from imgbake.api import Artifact, Blueprint, RunContext, StepError
from imgbake_buildkit import bases, builders, lowering
from imgbake_buildkit.baking import explained
from imgbake_buildkit.options import Options

_IMAGE = "imgbake-tested"


def test(artifact: Artifact, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
    """Tests each component that says how, on the image for this machine. Raises StepError."""
    layers = [layer for layer in blueprint.layers if layer.test]
    if not layers:
        return
    found = ctx.work / "image"
    image = bases.context(_IMAGE, bases.layout(bases.finished(artifact, None, ctx), found, ctx), found)
    folder = ctx.work / "context"
    folder.mkdir()
    with builders.opened(options, ctx) as builder:
        for layer in layers:
            ctx.log(f"-- {layer.component}: test")
            stage = lowering.checking(layer, _IMAGE, layer.test)
            (folder / "Dockerfile").write_text(stage.text())
            flags = [image, "--no-cache", "--output=type=cacheonly"]
            try:
                builders.build(builder, flags, folder, layer.setup.secrets, ctx)
            except StepError as error:
                raise explained((stage,), error) from None
