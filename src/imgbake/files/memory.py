"""Digests of files that were read before, kept in one file between runs.

    magic (8 bytes) | sha256 of the rest (32 bytes) | the columns as msgpack

Columns, not rows: paths joined by NUL, four numbers of 64 bits for each signature, 32 bytes for each
digest. So 60,000 files load in a few milliseconds and take little more memory than on disk. A file
that is damaged, or written by another version, is as good as none: files are read again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from array import array
from contextlib import suppress
from pathlib import Path

import msgspec

from imgbake.files.witness import Signature

_MAGIC = b"IMGBAKE2"
_FORGET_AFTER = 50  # saves in which nobody asked for a file: it is probably gone
_OPENING = 10_000  # bytes that could be written in the time that it takes to open a file
_OLDER = bytes(min(saves + 1, _FORGET_AFTER) for saves in range(256))


class _Columns(msgspec.Struct):
    """What is in the file, row by row in four columns."""

    paths: str = ""
    signatures: bytes = b""
    digests: bytes = b""
    unused: bytes = b""  # for how many saves nobody has asked for the file
    byteorder: str = sys.byteorder


class DigestMemory:
    """Path and signature to digest. Safe from threads; the last of two processes to save wins."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._new: dict[str, tuple[Signature, str]] = {}
        columns = _read(file) if file else _Columns()
        paths = columns.paths.split("\0") if columns.digests else []
        self._row = dict(zip(paths, range(len(paths)), strict=True))
        self._signatures = array("q", columns.signatures)
        self._digests = columns.digests
        self._unused = bytearray(columns.unused)
        self._size = len(columns.paths) + len(columns.signatures) + len(columns.digests)

    def find(self, path: str, signature: Signature) -> str | None:
        """The digest that the file had when it looked like this."""
        new = self._new.get(path)
        if new is not None:
            return new[1] if new[0] == signature else None
        row = self._row.get(path)
        if row is None:
            return None
        numbers, first = self._signatures, 4 * row
        if (
            numbers[first + 1] != signature[1]
            or numbers[first] != signature[0]
            or numbers[first + 2] != signature[2]
            or numbers[first + 3] != signature[3]
        ):
            return None
        self._unused[row] = 0
        return "sha256:" + self._digests[32 * row : 32 * row + 32].hex()

    def keep(self, path: str, signature: Signature, digest: str) -> None:
        """Remembers a digest. The signature must be settled, and taken before the file was read."""
        self._new[path] = (signature, digest)

    def save(self) -> None:
        """Writes what is new, whole or not at all. Where that is impossible, files are read again.

        So they are where that costs less than to write all that is known: one of many, if it is small.
        """
        if self._file is None or not self._is_worth_it():
            return
        data = msgspec.msgpack.encode(self._merged())
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(_MAGIC + hashlib.sha256(data).digest() + data)
                temporary.replace(self._file)
            finally:
                temporary.unlink(missing_ok=True)

    def _is_worth_it(self) -> bool:
        reading = sum(_OPENING + signature[2] for signature, _ in self._new.values())
        return reading > self._size

    def _merged(self) -> _Columns:
        """What is to be kept of the rows that were read, in stretches as long as can be, and what is new."""
        new = dict(self._new)
        gone = [row for row in map(self._row.get, new) if row is not None]
        if _FORGET_AFTER in self._unused:
            gone += [row for row, saves in enumerate(self._unused) if saves == _FORGET_AFTER]
        known, aged = list(self._row), self._unused.translate(_OLDER)
        paths: list[str] = []
        signatures = array("q")
        digests, unused = bytearray(), bytearray()
        begin = 0
        for end in (*sorted(set(gone)), len(known)):
            paths += known[begin:end]
            signatures += self._signatures[4 * begin : 4 * end]
            digests += self._digests[32 * begin : 32 * end]
            unused += aged[begin:end]
            begin = end + 1
        for path, (signature, digest) in new.items():
            paths.append(path)
            signatures.extend(signature)
            digests += bytes.fromhex(digest.removeprefix("sha256:"))
        unused += bytes(len(new))
        return _Columns("\0".join(paths), signatures.tobytes(), bytes(digests), bytes(unused))


def _read(file: Path) -> _Columns:
    try:
        data = file.read_bytes()
    except OSError:
        return _Columns()
    head, body = data[:40], memoryview(data)[40:]
    if head != _MAGIC + hashlib.sha256(body).digest():
        return _Columns()
    try:
        columns = msgspec.msgpack.decode(body, type=_Columns)
    except msgspec.MsgspecError:
        return _Columns()
    return columns if columns.byteorder == sys.byteorder else _Columns()
