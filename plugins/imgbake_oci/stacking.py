"""The layers that components add to a base, each on top of those before it."""

from __future__ import annotations

import msgspec

from imgbake.api import Blueprint, Commands, Layer, RunContext, StackLayer
from imgbake_oci import bases, layers, running
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.folders import Folders
from imgbake_oci.layers import Made


class Added(msgspec.Struct, frozen=True):
    """A component's layer."""

    component: str
    layer: Made


def stacked(blueprint: Blueprint, base: Base, format: Format, ctx: RunContext) -> list[Added]:
    """The layers of the components that change files, the lowest first. Raises BakeError."""
    stack = _Stack(base, format, blueprint.epoch, ctx)
    for layer in blueprint.layers:
        stack.add(layer)
    return stack.added


def found_by(
    component: str, blueprint: Blueprint, base: Base, format: Format, ctx: RunContext
) -> tuple[tuple[StackLayer, ...], Commands]:
    """The layers that a component's commands find, what it copies included, and how they would run.

    Raises BakeError.
    """
    stack = _Stack(base, format, blueprint.epoch, ctx)
    for layer in blueprint.layers:
        if layer.component == component:
            return stack.before(layer)
        stack.add(layer)
    raise AssertionError(f"{component} is no component of {blueprint.image}")


def stack_of(base: Base) -> tuple[StackLayer, ...]:
    """The base's layers as a runner takes them, the lowest first."""
    diff_ids = base.config.diff_ids if base.config else ()
    return tuple(
        StackLayer(layer.digest, diff_id) for layer, diff_id in zip(base.layers, diff_ids, strict=True)
    )


class _Stack:
    """A base, and the layers of components on it."""

    def __init__(self, base: Base, format: Format, epoch: int, ctx: RunContext) -> None:
        self._base, self._format, self._epoch, self._ctx = base, format, epoch, ctx
        self._layers = list(stack_of(base))
        self._below = _Below(base, ctx)
        self._env: dict[str, str] = {}
        self.added: list[Added] = []

    def add(self, layer: Layer) -> None:
        """Adds what a component copies and what its commands change, and checks it."""
        self._env |= layer.env
        made = self._copied(layer)
        if layer.build:
            commands = self._commands(layer, layer.build)
            made = running.changed(layer, self._layers, made, commands, self._format, self._epoch, self._ctx)
        if made is not None:
            self.added.append(Added(layer.component, made))
            self._layers.append(StackLayer(made.digest, made.diff_id))
            self._below.add(made)
        if layer.validate:
            running.checked(layer, self._layers, self._commands(layer, layer.validate), self._ctx)

    def before(self, layer: Layer) -> tuple[tuple[StackLayer, ...], Commands]:
        """What the commands of a component find."""
        self._env |= layer.env
        made = self._copied(layer)
        copied = () if made is None else (StackLayer(made.digest, made.diff_id),)
        return (*self._layers, *copied), self._commands(layer, ())

    def _copied(self, layer: Layer) -> Made | None:
        if not layer.files:
            return None
        return layers.make(layer, self._below.folders(), self._format, self._epoch, self._ctx)

    def _commands(self, layer: Layer, commands: tuple[str, ...]) -> Commands:
        """Commands as the image is by then: the base's user and folder, and the environment so far."""
        said = (self._base.config.whole.get("config") if self._base.config else None) or {}
        found = running.surroundings(said, self._env)
        setup = layer.setup
        return Commands(
            commands,
            found.env,
            found.user if setup.user is None else setup.user,
            found.workdir if setup.workdir is None else setup.workdir,
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
