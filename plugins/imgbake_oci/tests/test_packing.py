"""Compressed streams: read by other programs, the same on any number of CPUs, whole or an error."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from imgbake.api import BakeError
from imgbake_oci import compression, packing
from imgbake_oci.compression import PIECE, Damaged, Format
from imgbake_oci.packing import Packed, Packer
from imgbake_oci.tests.baked import program

FORMATS = [Format("gzip", 1), Format("gzip", 2), Format("gzip", 6), Format("zstd", 3), Format("none", 0)]
SIZES = [0, 1, 511, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 5 * PIECE + 77]


def _data(size: int) -> bytes:
    """Half noise, half text."""
    noise = random.Random(size).randbytes(size // 2)
    return (noise + b"all work and no play " * (size // 40 + 1))[:size]


def _pack(path: Path, format: Format, data: bytes, step: int = 100_000) -> Packed:
    with Packer(path, format, lambda _: None) as packer:
        for start in range(0, len(data), step):
            packer.write(data[start : start + step])
        return packer.finish()


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_what_is_packed_is_what_comes_out(tmp_path: Path, format: Format, size: int) -> None:
    data, path = _data(size), tmp_path / "packed"
    packed = _pack(path, format, data)
    written = path.read_bytes()
    assert packed.diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert packed.digest == f"sha256:{hashlib.sha256(written).hexdigest()}"
    assert (packed.content_size, packed.size) == (size, len(written))
    if format.name == "gzip":
        assert gzip.decompress(written) == data
        assert zlib.decompressobj(31).decompress(written) == data, "several gzip members"
    elif format.name == "zstd":
        assert zstandard.ZstdDecompressor().stream_reader(written, read_across_frames=True).read() == data
    with path.open("rb") as file, compression.reader(file, compression.detect(written[:8])) as content:
        assert b"".join(iter(lambda: content.read(70_000), b"")) == data


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_neither_the_number_of_cpus_nor_the_pieces_given_change_a_byte(
    tmp_path: Path, format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _data(4 * PIECE + 4321)
    made: set[str] = set()
    for cpus, step in [(1, 1_000), (2, 1 << 20), (7, 3 << 20), (64, 7)]:
        if step == 7:
            data = data[: 2 * PIECE]
            made.clear()
            made.add(_pack(tmp_path / "few", format, data).digest)
        monkeypatch.setattr(packing, "available_cpus", lambda cpus=cpus: cpus)
        made.add(_pack(tmp_path / f"{cpus}", format, data, step).digest)
    assert len(made) == 1


def test_gzip_and_zstd_accept_our_files(tmp_path: Path) -> None:
    data = _data(2 * PIECE + 5)
    _pack(tmp_path / "a.gz", Format("gzip", 1), data)
    subprocess.run([program("gzip"), "--test", tmp_path / "a.gz"], check=True)
    listed = subprocess.run(
        [program("gzip"), "--list", tmp_path / "a.gz"], check=True, capture_output=True, text=True
    )
    assert str(len(data)) in listed.stdout, "the size in the tail is wrong"


def test_files_are_read_in_place_up_to_what_is_asked_for(tmp_path: Path) -> None:
    data = _data(3 * PIECE)
    (tmp_path / "in").write_bytes(data)
    with (
        (tmp_path / "in").open("rb") as file,
        Packer(tmp_path / "out", FORMATS[-1], lambda _: None) as packer,
    ):
        packer.write(b"first")
        hashed = hashlib.sha256()
        assert packer.read(file.fileno(), 2 * PIECE, hashed) == 2 * PIECE
        assert packer.read(file.fileno(), 2 * PIECE) == PIECE
        packer.write(b"last")
        packer.finish()
    assert (tmp_path / "out").read_bytes() == b"first" + data + b"last"
    assert hashed.digest() == hashlib.sha256(data[: 2 * PIECE]).digest()


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_a_full_disk_is_an_error_and_no_dead_end(tmp_path: Path, format: Format) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    full = _FullDisk(tmp_path / "out", format, lambda _: None)
    with pytest.raises(OSError, match="No space left"), full as packer:
        packer.write(_data(40 * PIECE))
        packer.finish()


class _FullDisk(Packer):
    """A packer whose disk is full once its file has begun."""

    def _put(self, data: compression.Piece) -> None:
        if self._sent:
            with open("/dev/full", "wb", buffering=0) as full:
                full.write(data)


def test_what_the_listener_raises_ends_the_packing(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done >= 2 * PIECE:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Packer(tmp_path / "out", FORMATS[0], stop) as packer:
        packer.write(_data(8 * PIECE))


@pytest.mark.parametrize(
    ("name", "level", "hint"),
    [("gzip", 10, "1 to 9"), ("gzip", 0, "1 to 9"), ("zstd", 20, "1 to 19"), ("none", 1, "leave")],
)
def test_levels_that_do_not_exist_are_refused(name: compression.Compression, level: int, hint: str) -> None:
    with pytest.raises(BakeError) as caught:
        compression.chosen(name, level)
    assert hint in caught.value.hint


WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_stream_that_is_cut_or_changed_is_damaged(name: str) -> None:
    data = _data(300_000)
    packed = WHOLE[name](data)
    assert compression.detect(packed[:8]) == name
    assert _unpacked(packed, name) == data
    cuts = [packed[: len(packed) // 2], packed[:-4], packed[:7]]
    if name == "zstd":  # its reader takes a cut for the end, which is noticed by what is in it
        cuts = []
    for spoilt in (*cuts, _changed(packed, len(packed) // 2)):
        with pytest.raises(Damaged):
            _unpacked(spoilt, name)


def _unpacked(packed: bytes, name: str) -> bytes:
    with compression.reader(io.BytesIO(packed), name) as content:
        return b"".join(iter(lambda: content.read(65_536), b""))


def _changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def test_cpus_are_those_that_this_process_may_use() -> None:
    assert packing.available_cpus() == len(os.sched_getaffinity(0))
