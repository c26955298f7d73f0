"""Compression of layers: what a stream becomes, piece by piece, and how it is read again.

A stream is cut into pieces of `PIECE` bytes, each compressed for itself, so that all CPUs work on one
layer and the result depends neither on their number nor on time. The pieces of gzip end with a sync
flush and form one member (RFC 1952); those of zstd are frames (RFC 8878, section 3). Both are read by
every decompressor as one stream.

gzip up to level 2 is ISA-L's, five times as fast as zlib. Its output is the same on every x86-64 CPU
since 2008 (SSE 4.2) but not on other architectures; that of the other levels and of zstd is the same
everywhere. The uncompressed content, and so an image's `diff_ids`, never differ.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import IO, Literal, cast

import msgspec

from imgbake.api import BakeError
from imgbake_oci import media_types

Compression = Literal["gzip", "zstd", "none"]

PIECE = 1 << 20
DEFAULT_LEVEL = {"gzip": 1, "zstd": 3, "none": 0}
_HIGHEST_LEVEL = {"gzip": 9, "zstd": 19, "none": 0}
_ISAL_LEVELS = 2

_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, unknown system
_STORED_BYTE = b"\x00\x01\x00\xfe\xff"  # the head of a stored block of one byte (RFC 1951, 3.2.4)
_GZIP_LAST = b"\x03\x00"  # an empty final block

_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}

Piece = bytes | bytearray | memoryview


class Format(msgspec.Struct, frozen=True):
    """How a layer is compressed."""

    name: Compression = "gzip"
    level: int = 1

    @property
    def media_type(self) -> str:
        """The media type of a layer compressed like this."""
        return {
            "gzip": media_types.LAYER_GZIP,
            "zstd": media_types.LAYER_ZSTD,
            "none": media_types.LAYER,
        }[self.name]

    def __str__(self) -> str:
        return self.name if self.name == "none" else f"{self.name} level {self.level}"


def chosen(name: Compression, level: int | None) -> Format:
    """The format for these options. Raises BakeError for a level that it doesn't have."""
    highest = _HIGHEST_LEVEL[name]
    if level is None:
        return Format(name, DEFAULT_LEVEL[name])
    if name == "none" and level:
        raise BakeError("compression 'none' has no level", hint="leave `level` out")
    if highest and not 1 <= level <= highest:
        raise BakeError(f"{name} has no level {level}", hint=f"write a level from 1 to {highest}")
    return Format(name, level)


def compressor(format: Format) -> Callable[[Piece], Piece]:
    """A function that compresses one piece, for any thread to call."""
    if format.name == "none":
        return lambda piece: piece
    if format.name == "zstd":
        return _zstd(format.level)
    return _deflate(format.level)


def head(format: Format) -> bytes:
    """What stands before the first piece."""
    return _GZIP_HEAD if format.name == "gzip" else b""


def checksum(piece: Piece, before: int) -> int:
    """The CRC-32 of what came before and this piece."""
    from isal import isal_zlib  # ten times as fast as zlib's

    return isal_zlib.crc32(piece, before)


def tail(format: Format, checksum: int, size: int) -> bytes:
    """What follows the last piece. `checksum` is the CRC-32 and `size` the length of the content."""
    if format.name != "gzip":
        return b""
    return _GZIP_LAST + checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def detect(start: bytes) -> str:
    """The compression of a file that starts like this: gzip, zstd, bzip2, xz, or none."""
    return next((name for name, magic in _MAGIC.items() if start.startswith(magic)), "none")


class Damaged(Exception):
    """A file is not what its name or its start promised. Says what is wrong with it, not where it is."""


class Content:
    """What lies in a compressed file or an archive, read forward. To be used with `with`, or closed.

    `damage` is what reading `file` raises when it is broken, besides what decompressors raise anyway;
    `owned` says that it is closed with this.
    """

    def __init__(
        self, file: IO[bytes], damage: tuple[type[Exception], ...] = (), *, owned: bool = True
    ) -> None:
        self._file = file
        self._owned = owned
        self._damage = (*_damage(), *damage)

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end. Raises Damaged."""
        try:
            return self._file.read(size)
        except self._damage as error:
            raise Damaged(f"its compression is broken: {error}") from error
        except OSError as error:
            if error.errno is not None:  # the disk's fault and not the content's
                raise
            raise Damaged(f"its compression is broken: {error}") from error

    def close(self) -> None:
        """Frees what is held, and closes the file if it is owned."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reader(file: IO[bytes], compression: str) -> Content:
    """The content of a file compressed like this. Closing it leaves `file` open."""
    if compression == "none":
        return Content(file, owned=False)
    return Content(_decompressed(file, compression))


def _decompressed(file: IO[bytes], compression: str) -> IO[bytes]:
    if compression == "gzip":
        from isal import igzip

        return cast(IO[bytes], igzip.open(file, "rb"))  # type: ignore[no-untyped-call]  # isal has no types
    if compression == "zstd":
        import zstandard

        decompressor = zstandard.ZstdDecompressor()
        return decompressor.stream_reader(file, read_across_frames=True, closefd=False)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2File(file)
    import lzma

    return lzma.LZMAFile(file)


def _damage() -> tuple[type[Exception], ...]:
    """What the decompressors raise, besides OSError without a number."""
    import lzma

    import zstandard
    from isal import isal_zlib

    isal_error = cast(type[Exception], isal_zlib.error)
    return (EOFError, zlib.error, isal_error, lzma.LZMAError, zstandard.ZstdError)


def _deflate(level: int) -> Callable[[Piece], Piece]:
    return _isal(level) if level <= _ISAL_LEVELS else _zlib(level)


def _zlib(level: int) -> Callable[[Piece], Piece]:
    def compress(piece: Piece) -> bytes:
        stream = zlib.compressobj(level, zlib.DEFLATED, -15)
        return stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH)

    return compress


def _isal(level: int) -> Callable[[Piece], Piece]:
    """ISA-L at levels 1 and 2, made deterministic.

    With no history, it takes the hash of the second position from a register that holds the address of
    the stream (`.write_first_byte` in igzip_icf_body_h1_gr_bt.asm), so that now and then a match is found
    or missed by chance. So a piece begins with a stored block of one byte, which is then the history.
    """
    from isal import isal_zlib

    def compress(piece: Piece) -> bytes:
        first = bytes(piece[:1])
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15, zdict=first)
        rest = stream.compress(memoryview(piece)[1:]) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return _STORED_BYTE + first + rest

    return compress


def _zstd(level: int) -> Callable[[Piece], Piece]:
    import zstandard

    def compress(piece: Piece) -> bytes:
        return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(piece)

    return compress
