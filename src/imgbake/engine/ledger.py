"""What this project's nodes did last: the state behind `explain`, `list`, `log` and unchanged builds.

One append-only file, so that a crash at any moment costs at most the record being written:

    "imgbake ledger 1\\n"
    then for each record:  length (4 bytes, little endian), crc32 (4 bytes), msgpack of `Record`

The newest record of a node counts. Reading stops at the first frame that is cut short or damaged;
what follows it is forgotten, and its nodes are judged as if they had never run. The file is written
anew, and swapped in, when more than half of it is history.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import msgspec

from imgbake.contract import Artifact, Part

_MAGIC = b"imgbake ledger 1\n"
_FRAME = struct.Struct("<II")
_SLACK = 1 << 20  # bytes of history that are never worth a rewrite


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last success of a node. Parts and artifact stay encoded until somebody asks for them."""

    node: str
    fingerprint: str
    digest: str  # of the artifact
    seconds: float  # that its last real run took
    finished: float  # seconds since 1970
    why: tuple[str, ...]  # it ran then
    raw_parts: msgspec.Raw
    raw_artifact: msgspec.Raw
    doubt: str = ""  # what was written while it ran: may it have read something else there?

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the fingerprint."""
        return msgspec.msgpack.decode(self.raw_parts, type=tuple[Part, ...])

    @property
    def artifact(self) -> Artifact:
        """What it made."""
        return _ARTIFACT.decode(self.raw_artifact)


_ARTIFACT = msgspec.msgpack.Decoder(Artifact)
_RECORD = msgspec.msgpack.Decoder(Record)
_ENCODER = msgspec.msgpack.Encoder()


def record(
    node: str,
    fingerprint: str,
    parts: tuple[Part, ...],
    artifact: Artifact,
    *,
    seconds: float,
    finished: float,
    why: tuple[str, ...],
    doubt: str = "",
) -> Record:
    """A record of what a node made of these parts."""
    raw_parts = msgspec.Raw(_ENCODER.encode(parts))
    raw_artifact = msgspec.Raw(_ENCODER.encode(artifact))
    return Record(node, fingerprint, artifact.digest, seconds, finished, why, raw_parts, raw_artifact, doubt)


class Ledger:
    """The records of one project. Written by the one build that holds the project's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._records: dict[str, Record] = {}
        self._end = 0  # where the sound part of the file ends
        self._live = 0  # bytes of it that are the newest record of some node
        self._sizes: dict[str, int] = {}
        self._read()

    def last(self, node: str) -> Record | None:
        """The last success of a node in this project."""
        return self._records.get(node)

    def nodes(self) -> tuple[str, ...]:
        """Every node with a record."""
        return tuple(self._records)

    def add(self, entry: Record) -> None:
        """Remembers a success. Durable against a crash of this process once it returns."""
        frame = _frame(entry)
        if self._fd is None:
            self._fd = self._open()
        written = 0
        while written < len(frame):  # on a full disk a part is written, which the next record replaces
            written += os.pwrite(self._fd, frame[written:], self._end + written)
        self._end += len(frame)
        self._keep(entry, len(frame))

    def close(self) -> None:
        """Ends writing, and drops history when it outweighs the rest."""
        if self._fd is None:
            return
        os.close(self._fd)
        self._fd = None
        if self._end > 2 * self._live + _SLACK:
            self._rewrite()

    def _read(self) -> None:
        try:
            data = self._path.read_bytes()
        except OSError:
            return
        if not data.startswith(_MAGIC):
            return
        view, at = memoryview(data), len(_MAGIC)
        while at + _FRAME.size <= len(data):
            length, check = _FRAME.unpack_from(data, at)
            body = view[at + _FRAME.size : at + _FRAME.size + length]
            if len(body) < length or zlib.crc32(body) != check:
                break
            try:
                entry = _RECORD.decode(body)
            except msgspec.DecodeError:
                break
            at += _FRAME.size + length
            self._keep(entry, _FRAME.size + length)
        self._end = at

    def _keep(self, entry: Record, size: int) -> None:
        self._live += size - self._sizes.get(entry.node, 0)
        self._sizes[entry.node] = size
        self._records[entry.node] = entry

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if self._end == 0:
            os.write(fd, _MAGIC)
            self._end = len(_MAGIC)
        os.ftruncate(fd, self._end)
        return fd

    def _rewrite(self) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        beside.write_bytes(_MAGIC + b"".join(_frame(entry) for entry in self._records.values()))
        beside.replace(self._path)


def _frame(entry: Record) -> bytes:
    body = _ENCODER.encode(entry)
    return _FRAME.pack(len(body), zlib.crc32(body)) + body
