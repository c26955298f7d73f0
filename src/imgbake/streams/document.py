"""The document of a stream: JSON that a person can read, and that version control can show changes of.

Keys are sorted, and what holds nothing nested stands on one line, such as a revision or an intent: a tag
that moves is one new line.

    {
      "created": "2026-11-28T12:00:00Z",
      "format": 1,
      "images": {
        "sha256:…": {
          "facts": {…}
        }
      },
      "tags": {
        "3.12": {
          "history": [
            {"cause": "import", "created": "…", "image": "sha256:…", "reference": "…@sha256:…"},
            {…}
          ],
          "intent": {"every": "15m", "from": "docker.io/library/python:3.12"}
        }
      }
    }
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from imgbake.errors import BakeError
from imgbake.streams.model import Stream

FORMAT = 1
_DECODER = msgspec.json.Decoder(Stream)
_ENCODER = msgspec.json.Encoder(order="sorted")
_HINT = "restore an earlier version of it, or remove it and import its tags again"


class _Format(msgspec.Struct):
    format: int = FORMAT


def dump(stream: Stream) -> bytes:
    """The stream as its document."""
    plain = {**msgspec.to_builtins(stream), "format": FORMAT}
    lines = (f'  "{key}": ' + "".join(_text(plain[key], "  ")) for key in sorted(plain))
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def parse(data: bytes, name: str) -> Stream:
    """The stream of a document. Raises BakeError for one that we did not write, or a newer imgbake."""
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        try:
            found = msgspec.json.decode(data, type=_Format).format
        except msgspec.DecodeError:
            found = FORMAT
        if found > FORMAT:
            message = f"the stream '{name}' was written by a newer imgbake"
            raise BakeError(message, hint="install that one here, too") from None
        raise BakeError(f"the document of the stream '{name}' is damaged: {error}", hint=_HINT) from None


def _text(value: Any, indent: str) -> Iterator[str]:
    if not isinstance(value, dict | list | tuple) or not _holds_nested(value):
        yield msgspec.json.format(_ENCODER.encode(value), indent=0).decode()
        return
    inner = indent + "  "
    yield "{" if isinstance(value, dict) else "["
    for number, item in enumerate(sorted(value.items()) if isinstance(value, dict) else value):
        yield ("," if number else "") + "\n" + inner
        if isinstance(value, dict):
            key, item = item
            yield _ENCODER.encode(key).decode() + ": "
        yield from _text(item, inner)
    yield f"\n{indent}" + ("}" if isinstance(value, dict) else "]")


def _holds_nested(value: dict[str, Any] | list[Any] | tuple[Any, ...]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return any(isinstance(item, dict | list | tuple) and item for item in items)
