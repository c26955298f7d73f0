"""What both builders share: the stage that is to be built, and how its failure is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from imgbake.api import RunContext, StepError

if TYPE_CHECKING:
    from imgbake_docker.lowering import Stage


class Order(msgspec.Struct, frozen=True):
    """A stage to be built, and all that it stands on."""

    stage: Stage
    base: str  # the engine's id of the image below, "scratch", or what FROM says
    files: Path | None  # the archive that it adds
    arguments: dict[str, str]
    platform: str
    epoch: int
    anew: bool  # run its commands although the engine remembers them


class Builder(Protocol):
    """Builds stages on the engine."""

    name: str

    def build(self, order: Order, ctx: RunContext) -> str:
        """The id of the image that the stage became. Raises StepError."""


def failure(order: Order, command: str, how: str, tail: Sequence[str], below: str = "") -> StepError:
    """What is raised when a stage can't be built. `below` is the image that the command ran on."""
    layer = order.stage.layer
    whose = f"component '{layer.component}': " if layer else "the image's configuration: "
    hint = f"`docker run --rm -it {below} sh` shows what it finds" if below and command else ""
    what = f"`{first_line(command)}` {how}" if command else how
    return StepError(f"{whose}{what}", hint=hint, tail=tuple(tail))


def first_line(command: str) -> str:
    """A command as messages name it."""
    lines = command.strip().splitlines() or [""]
    return lines[0] if len(lines) == 1 else f"{lines[0]} …"
