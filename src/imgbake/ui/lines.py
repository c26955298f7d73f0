"""A stream that takes text, and outlives the reader of it."""

from __future__ import annotations

from typing import TextIO


class Lines:
    """Writes whole lines, each at once, so that two processes on one terminal don't mix them.

    A build does not fail because nobody reads its progress any more (`imgbake build 2>&1 | head`)
    or because the file it goes to is on a full disk: from then on nothing is written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False
        self.encoding = stream.encoding or "utf-8"

    def write(self, text: str) -> None:
        """Writes text, as a rule lines with their newlines."""
        if self._broken or not text:
            return
        try:
            self._stream.write(self._encodable(text))
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._broken = True

    def flush(self) -> None:
        """Does nothing: every write is flushed."""

    def _encodable(self, text: str) -> str:
        """The text with what the stream's encoding lacks spelled out."""
        if text.isascii():
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)
