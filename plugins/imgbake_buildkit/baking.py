"""One image, for one platform after the other, or as its Dockerfile says."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from imgbake.api import Blueprint, RunContext, StepError
from imgbake_buildkit import builders, lowering
from imgbake_buildkit.bases import Below, context
from imgbake_buildkit.builders import Builder
from imgbake_buildkit.options import Options
from imgbake_buildkit.receiving import received
from imgbake_docker import archives, building, buildkit, buildx
from imgbake_docker.lowering import Stage
from imgbake_dockerfile.request import request
from imgbake_oci.kept import Image


def bake(blueprint: Blueprint, dockerfile: str, options: Options, ctx: RunContext) -> list[Image]:
    """The image for each platform, all of it in the store. Raises BakeError."""
    with builders.opened(options, ctx) as builder, _layout(ctx) as to:
        if (described := blueprint.described) is not None:
            asked = request(described)
            labels = {**options.labels, **asked.labels}
            flags = [builders.into(to)]
            for name, of in asked.contexts.items():
                base = described.bases[of]
                flags.append(context(name, base.digest, ctx.root / base.facts["layout"]))
            buildx.build(builder.command, described, labels, blueprint.epoch, flags, ctx, builder.env)
            return received(to, ctx)
        return [
            image
            for platform in options.platforms or ("",)
            for image in _baked(builder, blueprint, dockerfile, platform, options, to, ctx)
        ]


@contextlib.contextmanager
def _layout(ctx: RunContext) -> Iterator[Path]:
    """A folder that a builder writes to, from where blobs can be moved into the store."""
    with tempfile.TemporaryDirectory(dir=ctx.blobs.scratch()) as folder:
        yield Path(folder)


def _baked(
    builder: Builder,
    blueprint: Blueprint,
    dockerfile: str,
    platform: str,
    options: Options,
    to: Path,
    ctx: RunContext,
) -> list[Image]:
    """An image of components for one platform, once all of its checks have passed."""
    below = Below(blueprint, platform, dockerfile, ctx)
    stages = lowering.stages(blueprint, options)
    folder = ctx.work / f"context-{platform.replace('/', '-')}"
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    _put_archives(stages, below, folder, blueprint.epoch, ctx)
    flags = [f"--build-arg=SOURCE_DATE_EPOCH={blueprint.epoch}", *below.flags()]
    flags += [f"--platform={platform}"] if platform else []
    secrets = tuple(dict.fromkeys(name for layer in blueprint.layers for name in layer.setup.secrets))
    checks = lowering.checks(blueprint)
    with _explained((*stages, *checks)):
        anew = ["--no-cache"] if ctx.force else []
        builders.build(builder, [*flags, *anew, builders.into(to, dated=True)], folder, secrets, ctx)
        for check in checks:
            anew = [f"--no-cache-filter={check.name}"] if ctx.force else []
            wanted = [f"--target={check.name}", "--output=type=cacheonly"]
            builders.build(builder, [*flags, *anew, *wanted], folder, secrets, ctx)
    return received(to, ctx)


def _put_archives(stages: tuple[Stage, ...], below: Below, folder: Path, epoch: int, ctx: RunContext) -> None:
    """The files of components: exact as long as nobody but us has changed anything below them."""
    make = archives.exact
    for stage in stages:
        if stage.layer is not None and stage.archive():
            make(stage.layer, below.folders(), epoch, ctx).rename(folder / stage.archive())
        if stage.commands:
            make = archives.archive


@contextlib.contextmanager
def _explained(stages: tuple[Stage, ...]) -> Iterator[None]:
    """Says whose command failed."""
    try:
        yield
    except StepError as error:
        raise explained(stages, error) from None


def explained(stages: tuple[Stage, ...], error: StepError) -> StepError:
    """The error of a build, with the component and its command if one failed."""
    failed, code = buildkit.told(error.tail)
    for stage in stages:
        for line, command in stage.commands:
            if line == failed and stage.layer is not None:
                said = f"`{building.first_line(command)}` exited with code {code}"
                return StepError(f"component '{stage.layer.component}': {said}", tail=error.tail)
    return error
