"""Progress for programs: every event as one JSON object on a line of its own."""

from __future__ import annotations

from typing import TextIO

import msgspec

from imgbake.events import Event
from imgbake.ui.lines import Lines


class JsonLines:
    """Writes each event as it is, its type under the key "event"."""

    wants_cached = True

    def __init__(self, stream: TextIO) -> None:
        self._lines = Lines(stream)
        self._encoder = msgspec.json.Encoder()

    def on(self, event: Event) -> None:
        """Writes one line."""
        try:
            text = self._encoder.encode(event)
        except UnicodeEncodeError:  # a node printed bytes that are no text, and they came as surrogates
            text = self._encoder.encode(_encodable(msgspec.to_builtins(event)))
        self._lines.write(text.decode() + "\n")

    def close(self) -> None:
        """Has nothing to give back."""


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value
