"""Kinds of task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

import msgspec

from imgbake.contract.artifacts import Artifact, Part
from imgbake.contract.contexts import PartsContext, RunContext


class Step(Protocol):
    """A kind of task. Its options are its only constructor argument.

    A class that also says `local = True` promises that its `parts` only reads files and environment,
    so that it may be asked without a thread of its own.
    """

    kind: ClassVar[str]
    version: ClassVar[int]  # moved when the same options come to mean something else

    def outputs(self, folder: str) -> tuple[str, ...]:
        """What it writes besides the recipe's `outputs`: project-relative paths or globs."""

    def parts(self, ctx: PartsContext) -> Iterable[Part]:
        """What decides besides options, inputs and needs, which the engine adds itself."""

    def run(self, ctx: RunContext) -> Artifact:
        """Does the work. The engine adds the tree of outputs to what it returns."""


class Pin(msgspec.Struct, frozen=True):
    """A line of imgbake.lock: in this table, this key means exactly that."""

    table: str
    key: str
    value: str


class Pinnable(Protocol):
    """A step whose input moves by itself and can be held by imgbake.lock."""

    def pin(self, ctx: PartsContext) -> Pin | None:
        """What it would use now if nothing were locked; None when it can't move."""
