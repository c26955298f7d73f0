"""Images that are Dockerfiles of the user's own, built whole by BuildKit or by the classic builder."""

from __future__ import annotations

import contextlib

from imgbake.api import BakeError, Blueprint, Described, RunContext
from imgbake_docker import choosing
from imgbake_docker.engine import Client
from imgbake_docker.options import Options
from imgbake_dockerfile.request import documents, of_registries, pinned, request


def lower(described: Described, blueprint: Blueprint, options: Options) -> dict[str, str]:
    """The documents that say what is built. Raises BakeError for what can't be."""
    asked = request(described)
    if len(asked.platforms) > 1:
        hint = "an engine holds an image for one platform: give each a recipe's image of its own"
        raise BakeError(f"image '{blueprint.image}' is for several platforms", hint=hint)
    if options.platforms:
        hint = "write `platforms` in the image's table: what its Dockerfile copies may depend on it"
        raise BakeError(
            f"image '{blueprint.image}' is a Dockerfile, and its target says `platforms`", hint=hint
        )
    if options.builder == "classic":
        refuse_classic(described, 'write builder = "buildkit"')
    found = documents(described)
    if blueprint.epoch:
        found["epoch"] = f"{blueprint.epoch}\n"
    return found


def bake(client: Client, blueprint: Blueprint, options: Options, ctx: RunContext) -> tuple[str, str]:
    """Builds the image; returns its id on the engine, and the builder's name. Raises BakeError."""
    described = blueprint.described
    assert described is not None
    asked = request(described)
    platform = asked.platforms[0] if asked.platforms else ""
    builder = choosing.kind(options.builder)
    if builder == "classic":
        refuse_classic(described)
    _pull(client, described, platform, ctx)
    labels = {**options.labels, **asked.labels}
    with contextlib.ExitStack() as names:
        for name, of in asked.contexts.items():
            from imgbake_docker import bases

            names.enter_context(bases.named(client, described.bases[of], name, platform, ctx))
        if builder == "buildkit":
            from imgbake_docker import buildkit_dockerfiles

            epoch = blueprint.epoch
            return buildkit_dockerfiles.build(client, described, labels, epoch, platform, ctx), builder
        from imgbake_docker import classic_dockerfiles

        return classic_dockerfiles.build(client, asked, described.files, labels, platform, ctx), builder


def refuse_classic(described: Described, hint: str = "install docker's buildx plugin") -> None:
    """Raises BakeError for what only BuildKit can do."""
    asked = request(described)
    what = asked.only_buildkit or ("`cache_to`" if asked.cache_to else "")
    if what:
        raise BakeError(f"{what}: the engine's classic builder has no such thing", hint=hint)


def _pull(client: Client, described: Described, platform: str, ctx: RunContext) -> None:
    """Brings the images that the build takes to the engine, by digest and with the user's own passwords."""
    for image, base in of_registries(described):
        if image.role != "syntax" and client.image(pinned(base.reference, base.digest)) is None:
            from imgbake_docker import bases

            bases.pull(client, base.reference, base.digest, platform, ctx)
