"""What BuildKit tells of a build that was posted to it, as the lines that buildx would print.

The engine passes on a `moby.buildkit.v1.StatusResponse` of BuildKit's api/services/control/control.proto
for each change; of these messages only the fields that are named here are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_VERTEX, _LOG = 1, 3  # of a StatusResponse
_DIGEST, _NAME, _CACHED, _STARTED, _COMPLETED, _ERROR = 1, 3, 4, 5, 6, 7  # of a Vertex
_OF, _AT, _TEXT = 1, 2, 4  # of a VertexLog: its vertex, when it was said, and what
_SECONDS, _NANOSECONDS = 1, 2  # of a Timestamp
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # kinds of values, by protobuf's encoding
_CANCELLED = "context canceled"


class _Vertex:
    """A piece of work of a build."""

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.started = 0.0
        self.is_over = False
        self.open = b""  # what was printed since the last line break, with what stands before it


class Trace:
    """What was told so far."""

    def __init__(self) -> None:
        self.failed = ""  # the name of the piece of work that failed
        self._vertices: dict[bytes, _Vertex] = {}

    def hear(self, message: bytes) -> Iterator[str]:
        """The lines that an encoded StatusResponse adds."""
        for field, value in _fields(message):
            if field == _VERTEX:
                yield from self._vertex(_read(value))
            elif field == _LOG:
                yield from self._log(_read(value))

    def _vertex(self, told: _Message) -> Iterator[str]:
        started = told.time(_STARTED)
        if not started:
            return
        vertex = self._vertices.get(told.bytes(_DIGEST))
        if vertex is None:
            vertex = _Vertex(len(self._vertices) + 1, told.text(_NAME))
            self._vertices[told.bytes(_DIGEST)] = vertex
            yield f"#{vertex.number} {vertex.name}"
        vertex.started = vertex.started or started
        completed, error = told.time(_COMPLETED), told.text(_ERROR)
        if vertex.is_over or not completed:
            return
        vertex.is_over = True
        if vertex.open:
            yield vertex.open.decode(errors="replace")
        if error and not error.endswith(_CANCELLED):
            self.failed = vertex.name
            yield f"#{vertex.number} ERROR: {error}"
        elif error:
            yield f"#{vertex.number} CANCELED"
        elif told.number(_CACHED):
            yield f"#{vertex.number} CACHED"
        else:
            yield f"#{vertex.number} DONE {completed - started:.1f}s"

    def _log(self, told: _Message) -> Iterator[str]:
        """Whole lines; what a command prints comes in pieces."""
        vertex = self._vertices.get(told.bytes(_OF))
        if vertex is None:
            return
        *lines, rest = told.bytes(_TEXT).split(b"\n")
        start = f"#{vertex.number} {max(0.0, told.time(_AT) - vertex.started):.3f} ".encode()
        for line in lines:
            yield ((vertex.open or start) + line).decode(errors="replace")
            vertex.open = b""
        if rest:
            vertex.open = (vertex.open or start) + rest


class _Message(NamedTuple):
    """A message's fields, the last value of each."""

    values: dict[int, int | bytes]

    def number(self, field: int) -> int:
        value = self.values.get(field, 0)
        return value if isinstance(value, int) else 0

    def bytes(self, field: int) -> bytes:
        value = self.values.get(field, b"")
        return value if isinstance(value, bytes) else b""

    def text(self, field: int) -> str:
        return self.bytes(field).decode(errors="replace")

    def time(self, field: int) -> float:
        """Seconds since the epoch; 0 for a time that was not told."""
        told = _read(self.bytes(field))
        return told.number(_SECONDS) + told.number(_NANOSECONDS) / 1e9


def _read(value: int | bytes) -> _Message:
    return _Message(dict(_fields(value)) if isinstance(value, bytes) else {})


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in protobuf's encoding. Raises ValueError for what is none."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, place = _varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + size > len(data):
            raise ValueError("the message is cut short")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: Sequence[int], place: int) -> tuple[int, int]:
    """A number, seven bits to each byte, and the place after it."""
    value = shift = 0
    while True:
        if place == len(data):
            raise ValueError("the message is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
