"""From a blueprint to the Dockerfile that BuildKit is sent, and a list of what is in its context. Pure.

FROM base AS runtime       a stage for each component: its files as one archive, its commands
FROM runtime AS app
ADD app.tar /
FROM app AS app-checked    `validate`: a stage beside it, of which nothing remains
RUN …
FROM app                   the image's configuration
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from imgbake.api import Artifact, BakeError, Blueprint, Layer
from imgbake_buildkit.options import Options
from imgbake_docker import choosing, instructions, lowering
from imgbake_docker.lowering import Stage
from imgbake_docker.naming import is_baked, stage_name
from imgbake_docker.options import Options as DockerOptions
from imgbake_dockerfile.request import documents
from imgbake_oci.target import copy_document


def lower(blueprint: Blueprint, options: Options) -> dict[str, str]:
    """The documents that say what is baked. Raises BakeError for what can't be."""
    if blueprint.described is not None:
        if options.platforms:
            hint = "write `platforms` in the image's table: what its Dockerfile copies may depend on it"
            message = f"image '{blueprint.image}' is a Dockerfile, and its target says `platforms`"
            raise BakeError(message, hint=hint)
        for base in blueprint.described.bases.values():
            _check_base(base)
        found = documents(blueprint.described)
        return {**found, "epoch": f"{blueprint.epoch}\n"} if blueprint.epoch else found
    _check(blueprint)
    found = {"Dockerfile": _dockerfile(blueprint, options)}
    archives = {
        stage.archive(): [copy_document(copied) for copied in stage.layer.files]
        for stage in stages(blueprint, options)
        if stage.layer is not None and stage.archive()
    }
    if archives:
        text = msgspec.json.format(msgspec.json.encode(archives), indent=2).decode()
        found["context.json"] = text + "\n"
    return found


def stages(blueprint: Blueprint, options: Options) -> tuple[Stage, ...]:
    """A stage for each component, its commands with their network, and the last one."""
    return tuple(map(_with_network, lowering.stages(blueprint, DockerOptions(labels=options.labels))))


def checks(blueprint: Blueprint) -> tuple[Stage, ...]:
    """The stages that run `validate`, one for each component that has it."""
    return tuple(
        checking(layer, stage_name(layer.component), layer.validate)
        for layer in blueprint.layers
        if layer.validate
    )


def checking(layer: Layer, base: str, commands: tuple[str, ...]) -> Stage:
    """A stage that runs commands of a component on an image, of which nothing is to remain."""
    of = f"component '{layer.component}': "
    lines = []
    if layer.setup.user is not None:
        lines.append(f"USER {instructions.quoted(layer.setup.user, of + '`user`')}")
    if layer.setup.workdir is not None:
        lines.append(f"WORKDIR {instructions.quoted(layer.setup.workdir, of + '`workdir`')}")
    run = tuple((instructions.run(command, layer.setup), command) for command in commands)
    name = f"{stage_name(layer.component)}-checked"
    return _with_network(Stage(base, name, (*lines, *(line for line, _ in run)), run, layer))


def _dockerfile(blueprint: Blueprint, options: Options) -> str:
    checked = {stage.base: stage for stage in checks(blueprint)}
    found = [f"# image {blueprint.image}, baked by the target {blueprint.target}\n"]
    for stage in stages(blueprint, options):
        found += _commented(stage, "")
        if stage.name in checked:
            found += _commented(checked[stage.name], ": validate")
    return "\n".join(found)


def _commented(stage: Stage, what: str) -> Iterator[str]:
    if stage.layer is not None:
        yield f"# component {stage.layer.component}{what}"
    yield stage.text()


def _with_network(stage: Stage) -> Stage:
    """A builder's own network is what a component means by default; without one says the instruction."""
    if stage.layer is None or stage.layer.setup.network != "none":
        return stage
    commands = tuple((f"RUN --network=none{line[3:]}", command) for line, command in stage.commands)
    instead = dict(zip((line for line, _ in stage.commands), (line for line, _ in commands), strict=True))
    lines = tuple(instead.get(line, line) for line in stage.lines)
    return msgspec.structs.replace(stage, lines=lines, commands=commands)


def _check(blueprint: Blueprint) -> None:
    """Raises BakeError for what components or their image ask of BuildKit in vain."""
    _check_base(blueprint.base)
    if blueprint.config.annotations:
        hint = 'write `labels`, or bake it with `uses = "oci"`'
        raise BakeError("an image of BuildKit's has no `annotations`", hint=hint)
    choosing.check(blueprint, "buildkit", ("build", "validate", "test"))
    for layer in blueprint.layers:
        if (layer.build or layer.validate or layer.test) and layer.setup.timeout is not None:
            message = f"component '{layer.component}' asks for `timeout`, which BuildKit has not"
            raise BakeError(message, hint="leave it out, and write `timeout` on the image")


def _check_base(base: Artifact) -> None:
    if is_baked(base):
        hint = 'bake it with `uses = "buildkit"` too'
        raise BakeError(f"BuildKit can't see the base {base.reference}: an engine has it", hint=hint)
