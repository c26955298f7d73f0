"""A download under way, kept so that the next attempt, or the next build, goes on where this one ended.

.imgbake/partial/<hash>.part    the bytes so far
.imgbake/partial/<hash>.json    what they are bytes of: source and version
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from imgbake.api import RunContext, StepError, digest
from imgbake_tasks import checksum
from imgbake_tasks.retry import Transient


class Version(msgspec.Struct, frozen=True):
    """What tells one content of a source from another. Empty text and -1: the server doesn't say."""

    source: str  # as the recipe writes it, secrets not put in
    validator: str = ""  # a strong ETag, or a time of modification
    size: int = -1


class Partial:
    """The bytes of one node's download so far."""

    def __init__(self, folder: Path, node: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = digest.of_bytes(node.encode()).removeprefix("sha256:")[:32]
        self.path = folder / f"{name}.part"
        self._about = folder / f"{name}.json"

    def version(self) -> Version | None:
        """What the bytes are bytes of; None when there are none."""
        try:
            return msgspec.json.decode(self._about.read_bytes(), type=Version)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def size(self) -> int:
        """How many bytes there are."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def start(self, version: Version) -> BinaryIO:
        """An empty file for bytes of this version."""
        self.discard()
        self._about.write_bytes(msgspec.json.encode(version))
        return self.path.open("wb")

    def resume(self) -> BinaryIO:
        """The file, to add to."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Forgets the bytes. What says of which version they are goes last, so that none is without."""
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def verify(self, expected: str, what: str, ctx: RunContext, *, resumed: bool) -> None:
        """Raises StepError when the checksum is wrong; the bytes are forgotten then.

        Bytes put together of two attempts get a second chance: then it is Transient.
        """
        try:
            checksum.verify(self.path, expected, what, ctx)
        except StepError as error:
            self.discard()
            if resumed:
                raise Transient(f"{error.message}; starting again", hint=error.hint, wait=0) from None
            raise


def of_node(root: Path, node: str) -> Partial:
    """The download of one node of this project."""
    return Partial(root / ".imgbake" / "partial", node)
