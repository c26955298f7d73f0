"""That compression depends on nothing but what is compressed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zlib

import pytest

from imgbake_oci.compression import PIECE, Compression, Format, compressor, head, tail

FORMATS: list[tuple[Compression, int]] = [("gzip", 1), ("gzip", 2), ("gzip", 6), ("zstd", 3), ("none", 0)]


def _like_a_tar(size: int) -> bytes:
    """Repetitive text in records that begin alike, where one missed match changes what follows."""
    words = random.Random(7)
    record = bytes(512 - 32) + b"ustar"
    body = b" ".join(b"%d" % words.randrange(10_000) for _ in range(size // 5))
    return (b"\0\0\1\0" + record + body)[:size]


@pytest.mark.parametrize(("name", "level"), FORMATS)
def test_a_piece_gives_the_same_bytes_wherever_its_compressor_lies_in_memory(
    name: Compression, level: int
) -> None:
    piece = _like_a_tar(1 << 17)
    compress = compressor(Format(name, level))
    first = bytes(compress(piece))
    held = []
    for number in range(60):
        held.append(bytearray(1 << 16 << number % 5))  # moves what is allocated next
        assert bytes(compress(memoryview(piece))) == first


def test_isal_starts_with_history_since_without_it_addresses_decide() -> None:
    for size in (1, 2, 3, 40, PIECE):
        piece = _like_a_tar(size)
        packed = bytes(compressor(Format("gzip", 1))(piece))
        assert packed.startswith(b"\x00\x01\x00\xfe\xff" + piece[:1])
        assert zlib.decompressobj(-15).decompress(packed) == piece


@pytest.mark.parametrize(("name", "level"), FORMATS)
def test_another_process_with_other_addresses_compresses_alike(name: Compression, level: int) -> None:
    program = (
        "import sys, hashlib; from imgbake_oci.compression import Format, compressor;"
        f"data = sys.stdin.buffer.read(); packed = compressor(Format({name!r}, {level}))(data);"
        "print(hashlib.sha256(packed).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=_like_a_tar(PIECE),
            capture_output=True,
            check=True,
            env={**os.environ, "MALLOC_ARENA_MAX": arenas, "PYTHONHASHSEED": arenas},
        ).stdout
        for arenas in ("1", "2", "8")
    }
    assert len(digests) == 1


def test_pieces_of_gzip_form_one_member() -> None:
    pieces = [_like_a_tar(1000), os.urandom(3000), b"x"]
    whole = b"".join(pieces)
    compress = compressor(Format("gzip", 1))
    packed = b"".join([head(Format()), *(bytes(compress(piece)) for piece in pieces)])
    packed += tail(Format(), zlib.crc32(whole), len(whole))
    reader = zlib.decompressobj(31)
    assert reader.decompress(packed) == whole
    assert reader.eof
    assert not reader.unused_data
