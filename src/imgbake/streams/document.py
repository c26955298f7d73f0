"""The document of a stream: JSON that a person can read, and that version control can show changes of.

Keys are sorted, and each thing has a line of its own down to the fourth level; what is nested deeper stands
on that line. So a tag that moves is one new line.

    {
      "created": "2026-11-28T12:00:00Z",
      "format": 1,
      "images": {
        "sha256:…": {
          "facts": {
            "platforms": {"linux/amd64": "sha256:…", "linux/arm64": "sha256:…"}
          }
        }
      },
      "tags": {
        "3.12": {
          "history": [
            {"cause": "import", "created": "…", "image": "sha256:…", "reference": "…@sha256:…"},
            {…}
          ],
          "intent": {
            "every": "15m",
            "from": "docker.io/library/python:3.12"
          }
        }
      }
    }
"""

from __future__ import annotations

import msgspec

from imgbake.errors import BakeError
from imgbake.streams.model import FORMAT, Stream

_LEVELS = 4  # that have lines
_DECODER = msgspec.json.Decoder(Stream)
_ENCODER = msgspec.json.Encoder(order="sorted")
_HINT = "restore an earlier version of it, or remove it and import its tags again"


class _Format(msgspec.Struct):
    format: int = FORMAT


def dump(stream: Stream) -> bytes:
    """The stream as its document."""
    return _joined(msgspec.json.format(_ENCODER.encode(stream), indent=2)) + b"\n"


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


def _joined(text: bytes) -> bytes:
    """The text of JSON with a line for everything, when the lines of the deepest levels are joined.

    No string has a line break in it, so lines can be told by how they begin; tens of thousands of them are
    joined in no time.
    """
    level = _LEVELS + 1
    while _line(level + 1) in text:
        level += 1
    for deeper in range(level, _LEVELS, -1):
        line, end = _line(deeper), _line(deeper - 1)
        for opening, closing in ((b"{", b"}"), (b"[", b"]")):
            text = text.replace(opening + line, opening).replace(end + closing, closing)
        text = text.replace(b"," + line, b", ")
    return text


def _line(level: int) -> bytes:
    return b"\n" + b"  " * level
