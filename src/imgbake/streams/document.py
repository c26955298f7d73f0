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

from collections.abc import Iterable
from typing import Any

import msgspec

from imgbake.errors import BakeError
from imgbake.streams.model import Stream

FORMAT = 1
_DECODER = msgspec.json.Decoder(Stream)
_ENCODER = msgspec.json.Encoder()
_HINT = "restore an earlier version of it, or remove it and import its tags again"


class _Format(msgspec.Struct):
    format: int = FORMAT


def dump(stream: Stream) -> bytes:
    """The stream as its document."""
    plain = {**msgspec.to_builtins(stream, order="sorted"), "format": FORMAT}
    pieces: list[bytes] = []
    for key in sorted(plain):
        pieces += (b',\n  "' if pieces else b'{\n  "', key.encode(), b'": ')
        _add(plain[key], b"\n  ", pieces)
    return b"".join((*pieces, b"\n}\n"))


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


def _add(value: Any, line: bytes, pieces: list[bytes]) -> None:
    """Adds the text of a value, whose lines after the first begin with `line`."""
    if isinstance(value, dict) and _holds_nested(value.values()):
        inner, mark = line + b"  ", b"{"
        for key, item in value.items():
            pieces += (mark, inner, _ENCODER.encode(key), b": ")
            _add(item, inner, pieces)
            mark = b","
        pieces += (line, b"}")
    elif isinstance(value, tuple | list) and _holds_nested(value):
        inner, mark = line + b"  ", b"["
        for item in value:
            pieces += (mark, inner)
            _add(item, inner, pieces)
            mark = b","
        pieces += (line, b"]")
    else:
        pieces.append(msgspec.json.format(_ENCODER.encode(value), indent=0))


def _holds_nested(items: Iterable[Any]) -> bool:
    return any(isinstance(item, dict | list | tuple) for item in items)
