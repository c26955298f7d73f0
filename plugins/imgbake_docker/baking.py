"""One image, stage after stage."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from imgbake.api import Artifact as Made
from imgbake.api import BakeError, Blueprint, Layer, Part, RunContext, TimedOut
from imgbake_docker import bases, choosing, containers
from imgbake_docker.building import Order
from imgbake_docker.engine import Client
from imgbake_docker.looking import Below
from imgbake_docker.lowering import BASE_USER, BASE_WORKDIR, Stage, stages
from imgbake_docker.naming import SCRATCH
from imgbake_docker.options import Options
from imgbake_oci import layers
from imgbake_oci.compression import Format

_PLAIN = Format("none", 0)  # the engine would have to take apart what we compress
_EMPTY = 1024  # bytes of an archive without members
_CHECKS = 1  # moved when the same commands come to be run otherwise


class Baking:
    """The work of one bake."""

    def __init__(self, client: Client, blueprint: Blueprint, options: Options, ctx: RunContext) -> None:
        self._client, self._blueprint, self._options, self._ctx = client, blueprint, options, ctx
        self._builder = choosing.builder(options.builder, client)
        self._below = Below(client, ctx)
        self._image = ""  # the engine's id of what is made so far, empty for scratch
        self._base: dict[str, Any] = {}

    @property
    def builder(self) -> str:
        """The name of the builder that is used."""
        return self._builder.name

    def bake(self) -> dict[str, Any]:
        """Builds all stages, and returns what the engine says of the image. Raises BakeError."""
        client, blueprint = self._client, self._blueprint
        choosing.check(blueprint, self._builder.name)
        self._base = bases.ready(client, blueprint, self._options.platform(), self._ctx)
        self._image = str(self._base.get("Id", ""))
        try:
            for stage in stages(blueprint, self._options):
                self._add(stage)
        finally:
            bases.release(client, blueprint)
        made: dict[str, Any] | None = client.image(self._image)
        if made is None:
            raise BakeError("the engine has lost the image that it has built", hint="build again")
        return made

    def _add(self, stage: Stage) -> None:
        layer = stage.layer
        files = self._files(stage, layer) if layer is not None and layer.files else None
        if layer is not None and layer.build:
            self._ctx.log(f"-- {layer.component}: build")
        if stage.lines:
            with _named(stage):
                self._image = self._builder.build(self._order(stage, files), self._ctx) or self._image
        if layer is None:
            return
        if layer.build:
            self._below.forget()
        if layer.validate:
            self._validate(layer)

    def _order(self, stage: Stage, files: Path | None) -> Order:
        config = self._base.get("Config") or {}
        given = {BASE_USER: config.get("User") or "", BASE_WORKDIR: config.get("WorkingDir") or "/"}
        text = stage.text()
        return Order(
            stage,
            self._image or SCRATCH,
            files,
            {name: value for name, value in given.items() if f"ARG {name}" in text},
            self._options.platform(),
            self._blueprint.epoch,
            anew=self._ctx.force and bool(stage.commands),
        )

    def _files(self, stage: Stage, layer: Layer) -> Path:
        """The archive of a component's files: the layer that the target `oci` would make of them."""
        made = layers.make(layer, self._below.of(self._image), _PLAIN, self._blueprint.epoch, self._ctx)
        self._below.add(made)
        if made.size <= _EMPTY:
            raise BakeError(f"component '{layer.component}' copies nothing", hint="leave its `files` out")
        return self._ctx.blobs.path(made.digest)

    def _validate(self, layer: Layer) -> None:
        """Runs the checks of a component, unless they passed on the same image before."""

        def check() -> Made:
            containers.run(
                self._client, self._image, "validate", layer.component, layer.validate, layer.setup, self._ctx
            )
            return Made("check", digest=self._image)

        setup = layer.setup
        parts = [
            Part("docker check", f"{_CHECKS} {self._image}"),
            Part("commands", "\n".join(layer.validate)),
            Part(
                "surroundings", f"{setup.shell} {setup.user} {setup.workdir} {setup.network} {setup.secrets}"
            ),
        ]
        self._ctx.memo(parts, check, anew=self._ctx.force)


@contextlib.contextmanager
def _named(stage: Stage) -> Any:
    """Says which component took too long."""
    try:
        yield
    except TimedOut as error:
        if stage.layer is None:
            raise
        message = f"component '{stage.layer.component}': build {error.message}"
        raise TimedOut(message, hint=error.hint, tail=error.tail) from None
