"""Components that run commands: their layers, and their checks, by a runner.

A layer is known by what it is made of: the content of all layers below, what the component copies, its
commands, and what they see. So a change in one component runs it and those after it, and one that ran
again and changed the same files lets those after it be reused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from imgbake.api import (
    Artifact,
    BakeError,
    Commands,
    Layer,
    LayerFormat,
    Part,
    RunContext,
    Runner,
    StackLayer,
    StepError,
)
from imgbake_oci import bases
from imgbake_oci.compression import Format
from imgbake_oci.configuring import merged_env
from imgbake_oci.descriptor import Platform
from imgbake_oci.layers import Made
from imgbake_oci.packing import repacked
from imgbake_oci.scratch import unfinished

RUNNER = "sandbox"
_FORMAT = 2  # moved when the same commands come to give another layer


def changed(
    layer: Layer,
    below: Sequence[StackLayer],
    files: Made | None,
    commands: Commands,
    format: Format,
    epoch: int,
    ctx: RunContext,
) -> Made:
    """The layer of a component that runs commands, with what it copies in it. Raises StepError.

    Commands run once for all formats: a layer that was written in another one is written again.
    """
    runner = ctx.runner(RUNNER)

    def run() -> Artifact:
        taken = None if files is None else StackLayer(files.digest, files.diff_id)
        made = _packed(runner, below, taken, commands, format, epoch, layer, ctx)
        facts = {"format": str(format), **msgspec.to_builtins(made)}
        return Artifact("layer", made.digest, facts=facts, blobs=(made.digest,))

    parts = [
        Part("component runner", f"{_FORMAT} {runner.kind} {runner.version}"),
        *_parts(below, commands),
        Part("files", "" if files is None else files.diff_id),
        Part("epoch", str(epoch)),
    ]
    facts = ctx.memo(parts, run, anew=ctx.force).facts
    made = msgspec.convert(facts, Made)
    return made if facts["format"] == str(format) else _in_format(made, format, ctx)


def checked(layer: Layer, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> None:
    """Runs the validate phase of a component, unless it passed on the same image before."""
    runner = ctx.runner(RUNNER)

    def run() -> Artifact:
        with in_phase(layer.component, "validate", ctx):
            runner.check(stack, commands, ctx)
        return Artifact("check", digest=stack[-1].diff_id if stack else "")

    kind = Part("component check", f"{_FORMAT} {runner.kind} {runner.version}")
    ctx.memo([kind, *_parts(stack, commands)], run, anew=ctx.force)


def require_platform(wanted: Platform, who: str, ctx: RunContext) -> None:
    """Raises BakeError when commands on images for this platform can't run here."""
    host = bases.host()
    if (wanted.os, wanted.architecture) == (host.os, host.architecture):
        return
    refusal: tuple[str, str] | None = ("", "")
    if wanted.os == host.os:
        refusal = ctx.runner(RUNNER).refusal(wanted.architecture)
    if refusal is not None:
        why, remedy = refusal
        message = ": ".join(filter(None, (f"{who} can't run its commands for {wanted} on {host}", why)))
        instead = "bake it on such a machine, or leave that platform out"
        raise BakeError(message, hint=", ".join(filter(None, (remedy, instead))))


def surroundings(said: Mapping[str, Any], env: Mapping[str, str]) -> Commands:
    """No commands yet, in what an image's configuration gives them (config.md), and more environment."""
    lines = merged_env(said.get("Env") or (), env)
    pairs = (line.partition("=") for line in lines)
    return Commands(
        (),
        {name: value for name, _, value in pairs if name},
        str(said.get("User") or ""),
        os.path.normpath("/" + str(said.get("WorkingDir") or "").lstrip("/")),
    )


@contextlib.contextmanager
def in_phase(component: str, phase: str, ctx: RunContext) -> Iterator[None]:
    """Says which component's commands run in which phase, also when they fail, and where to look then."""
    ctx.log(f"-- {component}: {phase}")
    look = f"imgbake shell {ctx.name}" + ("" if phase == "test" else f" --at {component}")
    try:
        yield
    except StepError as error:
        hint = error.hint or f"`{look}` shows what its commands find"
        raise StepError(f"component '{component}': {error.message}", hint=hint, tail=error.tail) from None


def _packed(
    runner: Runner,
    below: Sequence[StackLayer],
    files: StackLayer | None,
    commands: Commands,
    format: Format,
    epoch: int,
    layer: Layer,
    ctx: RunContext,
) -> Made:
    told = LayerFormat(format.name, format.level, epoch)
    with unfinished(ctx.blobs, "layer") as path:
        with in_phase(layer.component, "build", ctx):
            new = runner.change(below, files, commands, told, path, ctx)
        ctx.blobs.adopt(path, new.digest)
    return Made(new.digest, new.diff_id, new.size, format.media_type)


def _in_format(made: Made, format: Format, ctx: RunContext) -> Made:
    """A layer as it is in another format, as if it had been written so at once."""

    def write() -> Artifact:
        with unfinished(ctx.blobs, "layer") as path:
            new = repacked(ctx.blobs.path(made.digest), path, format, ctx.check)
            ctx.blobs.adopt(path, new.digest)
        found = Made(new.digest, new.diff_id, new.size, format.media_type)
        return Artifact("layer", new.digest, facts=msgspec.to_builtins(found), blobs=(new.digest,))

    parts = [Part("layer in a format", made.diff_id), Part("compression", str(format))]
    return msgspec.convert(ctx.memo(parts, write).facts, Made)


def _parts(below: Sequence[StackLayer], commands: Commands) -> Iterator[Part]:
    """What decides: neither how long commands may take nor how much they may use."""
    setup = commands.setup
    yield Part("below", "\n".join(layer.diff_id for layer in below))
    yield Part("commands", "\n".join(commands.commands))
    yield Part("env", "\n".join(f"{name}={value}" for name, value in commands.env.items()))
    yield Part("user", commands.user)
    yield Part("workdir", commands.workdir)
    yield Part("shell", "\n".join(setup.shell))
    yield Part("network", setup.network)
    yield Part("caches", "\n".join(cache.path for cache in setup.caches))
    yield Part("secrets", "\n".join(setup.secrets))
