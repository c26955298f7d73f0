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
        """Writes what is new, whole or not at all. Where that is impossible, files are read again."""
        if self._file is None or not self._new:
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

    def _merged(self) -> _Columns:
        new = dict(self._new)
        paths: list[str] = []
        signatures = array("q")
        digests = bytearray()
        unused = bytearray()
        for path, row in self._row.items():
            if path not in new and self._unused[row] < _FORGET_AFTER:
                paths.append(path)
                signatures += self._signatures[4 * row : 4 * row + 4]
                digests += self._digests[32 * row : 32 * row + 32]
                unused.append(self._unused[row] + 1)
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
