"""Where the commands of components run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from imgbake.contract.contexts import RunContext
from imgbake.model import Setup


class StackLayer(msgspec.Struct, frozen=True):
    """A layer of an image that commands run on: its blob in the store, and its uncompressed digest."""

    digest: str
    diff_id: str


class Commands(msgspec.Struct, frozen=True):
    """Commands to run on an image, and all that decides what they do."""

    commands: tuple[str, ...]
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = ""
    setup: Setup = Setup()


class LayerFormat(msgspec.Struct, frozen=True):
    """How a layer is written: "gzip", "zstd" or "none", the level, and the time that all in it bears."""

    compression: str
    level: int
    epoch: int  # seconds since 1970


class NewLayer(msgspec.Struct, frozen=True):
    """A layer that was written: the digests of its file and of its content, and the file's size in bytes."""

    digest: str
    diff_id: str
    size: int


class Runner(Protocol):
    """Where the commands of components run.

    Its only constructor argument is a folder of its own beside the content store, shared by all
    projects, that it may fill with what saves time.
    """

    kind: ClassVar[str]
    version: ClassVar[int]

    def refusal(self, architecture: str = "") -> tuple[str, str] | None:
        """Why nothing can run here, and what to do about it; None when it can.

        With an architecture (a GOARCH), one that is not this machine's: on images for it.
        """

    def change(
        self,
        below: Sequence[StackLayer],
        files: StackLayer | None,
        commands: Commands,
        format: LayerFormat,
        to: Path,
        ctx: RunContext,
    ) -> NewLayer:
        """Runs commands on an image, and writes what they changed as a layer (layer.md) to a new file.

        `files` is a layer that this one takes in: what the same component copies. Raises StepError.
        """

    def check(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> None:
        """Runs commands on an image and forgets what they changed. Raises StepError when one fails."""

    def shell(self, stack: Sequence[StackLayer], commands: Commands, ctx: RunContext) -> int:
        """Runs commands in a throw-away copy of an image, for the user: their streams are ours.

        Without any it opens a shell on the terminal. Returns the exit code.
        """

    def usage(self) -> int:
        """How many bytes its folder takes."""

    def gc(self, limit: int, unused_since: float) -> tuple[int, int]:
        """Removes what nobody used since then (seconds since 1970), then what was used least recently
        until no more than `limit` bytes are left. What is in use stays.

        Returns how many things were removed, and how many bytes they held.
        """
