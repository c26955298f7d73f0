"""From a blueprint to a Dockerfile, and a list of what is in the archives that it adds. Pure.

    FROM base AS runtime       a stage for each component: its files as one archive, which carries
    RUN …                      owners, modes, links and times exactly; its environment; its commands
    FROM runtime AS app
    ADD app.tar /
    FROM app                   the image's configuration

The stages are what the target builds one after the other, so that it can look at what a component
finds before it writes the archive of its files, and run `validate` in a container of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from imgbake.api import BakeError, Blueprint, ImageConfig, Layer, Lowered, Setup
from imgbake_docker import instructions
from imgbake_docker.naming import base_name, stage_name
from imgbake_docker.options import Options
from imgbake_oci.target import copy_document

BASE_USER = "IMGBAKE_BASE_USER"
BASE_WORKDIR = "IMGBAKE_BASE_WORKDIR"
"""Arguments by which a component that runs as another user gives back what the base says."""


class Stage(msgspec.Struct, frozen=True):
    """One FROM of the Dockerfile and the lines below it."""

    base: str  # what stands after FROM, with its flags
    name: str  # empty for the last one
    lines: tuple[str, ...]
    commands: tuple[tuple[str, str], ...] = ()  # instruction and command, for messages
    layer: Layer | None = None

    def text(self, base: str = "") -> str:
        """The stage as a Dockerfile has it, on another base if there is one."""
        label = f" AS {self.name}" if self.name else ""
        return "\n".join([f"FROM {base or self.base}{label}", *self.lines, ""])

    def archive(self) -> str:
        """The name of the archive that it adds, empty when there is none."""
        return f"{self.name}.tar" if self.layer is not None and self.layer.files else ""


def lower(blueprint: Blueprint, options: Options) -> Lowered:
    """The documents `Dockerfile` and, if files are copied, `context.json`. Raises BakeError."""
    found = stages(blueprint, options)
    title = f"# image {blueprint.image}, baked by the target {blueprint.target}\n\n"
    documents = {"Dockerfile": title + "\n".join(_commented(stage) for stage in found)}
    context = {
        stage.archive(): [copy_document(copied) for copied in stage.layer.files]
        for stage in found
        if stage.layer is not None and stage.archive()
    }
    if context:
        text = msgspec.json.format(msgspec.json.encode(context), indent=2).decode()
        documents["context.json"] = text + "\n"
    return Lowered(documents)


def stages(blueprint: Blueprint, options: Options) -> tuple[Stage, ...]:
    """The stages of the Dockerfile. Raises BakeError for what no Dockerfile can say."""
    base = base_name(blueprint)
    if platform := options.platform():
        base = f"--platform={platform} {base}"
    found: list[Stage] = []
    for layer in blueprint.layers:
        stage = _component(layer, base)
        found.append(stage)
        base = stage.name
    found.append(Stage(base, "", tuple(configuration(blueprint.config, options.labels))))
    if len(found) == 1 and base.endswith("scratch") and not found[0].lines:
        raise BakeError(f"image '{blueprint.image}' is empty", hint="give it a component, or a label")
    return tuple(found)


def _commented(stage: Stage) -> str:
    layer = stage.layer
    if layer is None:
        return stage.text()
    notes = [f"# component {layer.component}"]
    if layer.build:
        notes[0] += f", network {layer.setup.network}"
    if layer.validate and (decides := _deciding(layer.setup)) != Setup():
        notes.append(f"# validate with {msgspec.json.encode(decides, order='sorted').decode()}")
    notes += [f"# validate, in a container: {instructions.listed([text])[1:-1]}" for text in layer.validate]
    return "\n".join([*notes, stage.text()])


def _deciding(setup: Setup) -> Setup:
    """Without how long commands may take and how much they may use."""
    return msgspec.structs.replace(setup, timeout=None, memory=None, cpus=None, processes=None)


def _component(layer: Layer, base: str) -> Stage:
    name = stage_name(layer.component)
    lines = [f"ADD {name}.tar /"] if layer.files else []
    lines += instructions.assigned("ENV", layer.env, f"component '{layer.component}': the variable")
    commands = [(instructions.run(command, layer.setup), command) for command in layer.build]
    if layer.build:
        before, after = _surroundings(layer)
        lines += [*before, *(line for line, _ in commands), *after]
    return Stage(base, name, tuple(lines), tuple(commands), layer)


def _surroundings(layer: Layer) -> tuple[list[str], list[str]]:
    """What makes commands run as another user or elsewhere, and what takes it back.

    A Dockerfile has no other word for it than one that changes the image, and what the base says is
    not known here: so it is given when the image is built.
    """
    before, after = [], []
    of = f"component '{layer.component}': "
    if layer.setup.user is not None:
        before.append(f"USER {instructions.quoted(layer.setup.user, of + '`user`')}")
        after += [f"ARG {BASE_USER}", f"USER ${BASE_USER}"]
    if layer.setup.workdir is not None:
        before.append(f"WORKDIR {instructions.quoted(layer.setup.workdir, of + '`workdir`')}")
        after += [f"ARG {BASE_WORKDIR}", f"WORKDIR ${BASE_WORKDIR}"]
    return before, after


def configuration(said: ImageConfig, labels: Mapping[str, str]) -> Iterator[str]:
    """What an image says of how it is run, in a Dockerfile's words. Raises BakeError."""
    if said.annotations:
        hint = 'write `labels`, or bake it with `uses = "oci"`'
        raise BakeError("an image on a docker engine has no `annotations`", hint=hint)
    yield from instructions.assigned("ENV", said.env, "`env`:")
    if said.user is not None:
        yield f"USER {instructions.quoted(said.user, '`user`')}"
    if said.workdir is not None:
        yield f"WORKDIR {instructions.quoted(said.workdir, '`workdir`')}"
    if said.ports:
        yield f"EXPOSE {' '.join(said.ports)}"
    if said.volumes:
        yield instructions.volumes(said.volumes)
    yield from instructions.assigned("LABEL", {**said.labels, **labels}, "the label")
    if said.stop_signal is not None:
        yield f"STOPSIGNAL {instructions.quoted(said.stop_signal, '`stop_signal`')}"
    if said.healthcheck is not None:
        yield instructions.healthcheck(said.healthcheck)
    if said.entrypoint is not None:
        yield f"ENTRYPOINT {instructions.listed(said.entrypoint)}"
    if said.cmd is not None:
        yield f"CMD {instructions.listed(said.cmd)}"
