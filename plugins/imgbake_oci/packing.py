r"""A tar stream on its way into a file: hashed, compressed, hashed again and written, on all CPUs.

    write, read --> piece --+--> hash, in order: diff_id, CRC-32 --+--> in order: digest, file
                            +--> compress, on every CPU -----------+

hashlib, the compressors and write(2) let go of the interpreter's lock for whole pieces, so plain
threads are enough. The buffers are used again and again, and their number is what limits how far the
producer runs ahead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

import msgspec

from imgbake_oci.compression import (
    PIECE,
    Format,
    Piece,
    checksum,
    compressor,
    detect,
    head,
    reader,
    tail,
)

_AHEAD = 4  # pieces that wait, besides one for each CPU


class Hash(Protocol):
    """A hash that is being made."""

    def update(self, data: Piece, /) -> None:
        """Adds data."""

    def hexdigest(self) -> str:
        """The digest of all that was added, in hex."""


class Packed(msgspec.Struct, frozen=True):
    """What was written: the digests of content and file, and their sizes in bytes."""

    diff_id: str
    digest: str
    content_size: int
    size: int


class Packer:
    """Writes one compressed file. To be used with `with`, which ends its threads whatever happens.

    `each` is called with the number of bytes so far, once for every piece; what it raises ends the
    writing.
    """

    def __init__(self, path: Path, format: Format, each: Callable[[int], None]) -> None:
        workers = available_cpus()
        self._format = format
        self._each = each
        self._compress = compressor(format)
        self._compressing = ThreadPoolExecutor(workers, "compress")
        self._hashing = ThreadPoolExecutor(1, "hash")
        self._writing = ThreadPoolExecutor(1, "write")
        self._written: Future[None] | None = None  # the last piece
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._more = workers + _AHEAD  # buffers that may still be made
        self._content = hashlib.sha256()
        self._checksum = 0  # only gzip has one
        self._digest = hashlib.sha256()  # what is not compressed has the digest of its content
        self._sent = 0
        self._size = 0
        self._at = 0
        self._file = path.open("xb")
        self._next_piece()
        self._put(head(format))

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._compressing, self._hashing, self._writing):
            pool.shutdown(cancel_futures=True)
        self._file.close()

    def write(self, data: Piece) -> None:
        """Adds these bytes."""
        at, size = self._at, len(data)
        if at + size < PIECE:
            self._piece[at : at + size] = data
            self._at = at + size
            return
        view = memoryview(data)
        while view:
            part, view = view[: self.room], view[self.room :]
            self._piece[self._at : self._at + len(part)] = part
            self._advance(len(part))

    def read(self, descriptor: int, size: int, hashed: Hash | None = None) -> int:
        """Adds up to `size` bytes of an open file, read in place; returns how many there were."""
        left = size
        while left:
            at = self._at
            part = self._piece[at : min(at + left, PIECE)]
            count = os.readv(descriptor, (part,))
            if not count:
                break
            if hashed:
                hashed.update(part[:count])
            left -= count
            self._advance(count)
        return size - left

    @property
    def room(self) -> int:
        """How many bytes the piece that is being filled can still take."""
        return PIECE - self._at

    def last(self, size: int) -> memoryview:
        """The last bytes that were added, as long as they lie in the piece that is being filled."""
        return self._piece[self._at - size : self._at]

    def finish(self) -> Packed:
        """Writes what is left. Raises what went wrong in one of the threads, such as OSError."""
        content_size = self._sent + self._at
        if self._at:
            self._send(self._at)
        if self._written:
            self._written.result()
        self._put(tail(self._format, self._checksum, content_size))
        self._file.close()
        diff_id = self._content.hexdigest()
        digest = diff_id if self._format.name == "none" else self._digest.hexdigest()
        return Packed(f"sha256:{diff_id}", f"sha256:{digest}", content_size, self._size)

    def _advance(self, count: int) -> None:
        self._at += count
        if self._at == PIECE:
            self._send(PIECE)
            self._next_piece()

    def _next_piece(self) -> None:
        self._buffer = self._buffer_to_fill()
        self._piece = memoryview(self._buffer)
        self._at = 0

    def _buffer_to_fill(self) -> bytearray:
        """A buffer that nobody uses; most layers are small and need one."""
        if self._more and self._free.empty():
            self._more -= 1
            return bytearray(PIECE)
        return self._free.get()

    def _send(self, size: int) -> None:
        if self._written and self._written.done():
            self._written.result()  # raises what the threads met
        piece = self._piece[:size]
        hashed = self._hashing.submit(self._hash, piece)
        compressed = self._compressing.submit(self._compress, piece)
        self._written = self._writing.submit(self._store, self._written, self._buffer, hashed, compressed)
        self._sent += size
        self._at = 0
        self._each(self._sent)

    def _hash(self, piece: memoryview) -> None:
        self._content.update(piece)
        if self._format.name == "gzip":
            self._checksum = checksum(piece, self._checksum)

    def _store(
        self,
        before: Future[None] | None,
        buffer: bytearray,
        hashed: Future[None],
        compressed: Future[Piece],
    ) -> None:
        """Writes a piece, unless the one before it failed: then this one fails in the same way."""
        try:
            if before:
                before.result()
            hashed.result()
            self._put(compressed.result())
        finally:
            self._free.put(buffer)

    def _put(self, data: Piece) -> None:
        if self._format.name != "none":
            self._digest.update(data)
        self._file.write(data)
        self._size += len(data)


def available_cpus() -> int:
    """How many CPUs this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def repacked(layer: Path, to: Path, format: Format, check: Callable[[], None]) -> Packed:
    """Writes a layer anew, whatever its compression was. Raises Damaged."""
    with layer.open("rb") as file, Packer(to, format, lambda _: check()) as packer:
        start = file.read(8)
        file.seek(0)
        with reader(file, detect(start)) as content:
            while data := content.read(PIECE):
                packer.write(data)
        return packer.finish()
