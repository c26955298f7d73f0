"""A request as the registry's routes see it, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """A request. `body` gives the pieces of its body as they arrive, and may be read once.

    What the query gives several times has spaces in between.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message  # in any case
    body: Iterator[bytes]

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.body)


class Answer(msgspec.Struct, frozen=True):
    """A response. With `file`, the body is a part of that file, from `start`, of `size` bytes."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    file: Path | None = None
    start: int = 0
    size: int = 0

    @property
    def length(self) -> int:
        """How many bytes the body has."""
        return self.size if self.file else len(self.body)

    def read(self) -> bytes:
        """The whole body."""
        if not self.file:
            return self.body
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def refuse(status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """An error as the specification writes it (distribution-spec, error codes)."""
    body = msgspec.json.encode({"errors": [{"code": code, "message": message, "detail": None}]})
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, body)
