"""Where image streams are kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol, runtime_checkable

import msgspec


class Kept(msgspec.Struct, frozen=True):
    """A stream's document, and a mark that is another one as soon as the document is."""

    data: bytes
    version: str


class Shelf(Protocol):
    """A place for the documents of streams: one for each, a few kilobytes to a few megabytes of text.

    It is made of its address, as the recipe has it (`KIND://…`), and of a function that raises
    Interrupted when the user stops us: call it while you wait. Making one asks nobody, and raises
    BakeError for an address that is wrong.

    Several people and machines write one shelf at once. None of them may lose what another has written,
    so `save` and `remove` are conditional: they act if the document is still the one of this version,
    and that is decided where the documents are. Whoever reads sees the document before or after, never
    half of it. What is saved stays, even if the machine dies at once.
    """

    kind: ClassVar[str]  # what its addresses begin with
    version: ClassVar[int]

    def names(self) -> Sequence[str]:
        """The streams that are there, sorted."""

    def load(self, name: str) -> Kept | None:
        """The document of a stream; None when there is none."""

    def save(self, name: str, data: bytes, expected: str) -> bool:
        """Writes the document if it has this version, or, with an empty one, if there is none.

        False when another was faster: load it and try again. Raises BakeError when it can't be written.
        """

    def remove(self, name: str, expected: str) -> bool:
        """Removes the document if it has this version. False when another was faster."""

    def proof(self, name: str) -> str:
        """A file of this machine that stays as it is while the document does; empty when there is none."""


@runtime_checkable
class Queueing(Protocol):
    """A shelf whose writers can wait for each other, so that none changes a document in vain.

    That is for their comfort: `save` and `remove` are conditional all the same.
    """

    def turn(self) -> AbstractContextManager[object]:
        """Lasts while it is our turn to read a document and write it."""
