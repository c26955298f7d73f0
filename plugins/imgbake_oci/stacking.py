"""The layers that components add to a base, each on top of those before it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from imgbake.api import Blueprint, Commands, Layer, RunContext, StackLayer
from imgbake_oci import bases, layers, running
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.configuring import merged_env
from imgbake_oci.folders import Folders
from imgbake_oci.layers import Made


class Added(msgspec.Struct, frozen=True):
    """A component's layer."""

    component: str
    layer: Made


def stacked(blueprint: Blueprint, base: Base, format: Format, ctx: RunContext) -> list[Added]:
    """The layers of the components that change files, the lowest first. Raises BakeError."""
    added: list[Added] = []
    stack = list(stack_of(base))
    below = _Below(base, ctx)
    env: dict[str, str] = {}
    for layer in blueprint.layers:
        env |= layer.env
        made = layers.make(layer, below.folders(), format, blueprint.epoch, ctx) if layer.files else None
        if layer.build:
            commands = _commands(layer, layer.build, base, env)
            made = running.changed(layer, stack, made, commands, format, blueprint.epoch, ctx)
        if made is not None:
            added.append(Added(layer.component, made))
            stack.append(StackLayer(made.digest, made.diff_id))
            below.add(made)
        if layer.validate:
            running.checked(layer, stack, _commands(layer, layer.validate, base, env), ctx)
    return added


def stack_of(base: Base) -> tuple[StackLayer, ...]:
    """The base's layers as a runner takes them, the lowest first."""
    diff_ids = base.config.diff_ids if base.config else ()
    return tuple(
        StackLayer(layer.digest, diff_id) for layer, diff_id in zip(base.layers, diff_ids, strict=True)
    )


def _commands(layer: Layer, commands: tuple[str, ...], base: Base, env: Mapping[str, str]) -> Commands:
    """Commands as the image is by then: the base's user and folder, and the environment so far."""
    said = (base.config.whole.get("config") if base.config else None) or {}
    lines = merged_env(said.get("Env") or (), env)
    setup = layer.setup
    return Commands(
        commands,
        dict(line.split("=", 1) for line in lines),
        setup.user if setup.user is not None else str(said.get("User") or ""),
        setup.workdir if setup.workdir is not None else str(said.get("WorkingDir") or "/"),
        setup,
    )


class _Below:
    """The folders of the layers so far, looked at when the first component copies files."""

    def __init__(self, base: Base, ctx: RunContext) -> None:
        self._base, self._ctx = base, ctx
        self._made: list[Made] = []
        self._known: Folders | None = None

    def add(self, made: Made) -> None:
        """Puts a layer on top."""
        if self._known is None:
            self._made.append(made)
        else:
            self._known.add(made.folders(self._ctx))

    def folders(self) -> Folders:
        """What they say together."""
        if self._known is None:
            self._known = Folders()
            for said in bases.folders(self._base, self._ctx):
                self._known.add(said)
            for made in self._made:
                self._known.add(made.folders(self._ctx))
        return self._known
