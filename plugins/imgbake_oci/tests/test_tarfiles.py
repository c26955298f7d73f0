"""Reading tar files of others: whatever Python's tarfile writes, and whatever is broken."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake_oci import tarfiles, ustar
from imgbake_oci.compression import Damaged
from imgbake_oci.tarfiles import Forward, Head, Seeking

segments = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
paths = st.lists(st.one_of(segments, st.integers(1, 180).map("n".__mul__)), min_size=1, max_size=5).map(
    "/".join
)
ids = st.one_of(st.integers(0, 70_000), st.integers(0, 2**32 - 1))
KINDS: dict[bytes, str] = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "fifo",
}
members = st.tuples(
    paths, st.sampled_from(sorted(KINDS)), st.integers(0, 0o7777), ids, ids, paths, st.binary()
)


def _tar(listed: list[tuple[Any, ...]], format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for path, kind, mode, uid, gid, link, data in listed:
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.uid, info.gid = kind, mode, uid, gid
            info.linkname = link if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(data) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _heads(data: bytes) -> list[Head]:
    return list(tarfiles.members(Seeking(io.BytesIO(data), len(data))))


def _damage(data: bytes) -> str:
    with pytest.raises(Damaged) as caught:
        _heads(data)
    return str(caught.value)


def _resum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@given(st.lists(members, max_size=6), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_what_tarfile_writes_is_what_we_read(listed: list[tuple[Any, ...]], format: int) -> None:
    data = _tar(listed, format)
    heads = _heads(data)
    read = [(h.path.rstrip("/"), h.kind, h.mode, h.uid, h.gid, h.link) for h in heads]
    assert read == [
        (path, KINDS[kind], mode, uid, gid, link if "link" in KINDS[kind] else "")
        for path, kind, mode, uid, gid, link, _ in listed
    ]
    for head, (*_, content) in zip(heads, listed, strict=True):
        assert head.kind != "file" or data[head.start : head.start + head.size] == content
    assert list(tarfiles.members(Forward(io.BytesIO(data)))) == heads


@given(st.binary(max_size=4096))
def test_no_bytes_whatever_are_more_than_damaged(data: bytes) -> None:
    try:
        _heads(data)
    except Damaged:
        return


@given(st.lists(members, min_size=1, max_size=3), st.data())
def test_a_tar_with_a_byte_changed_is_read_or_damaged(listed: list[tuple[Any, ...]], data: Any) -> None:
    tar = bytearray(_tar(listed, tarfile.PAX_FORMAT))
    place = data.draw(st.integers(0, min(len(tar), 4096) - 1))
    tar[place] = data.draw(st.integers(0, 255))
    block = place // 512 * 512
    tar[block : block + 512] = _resum(tar[block : block + 512])  # so that more than the checksum looks
    try:
        _heads(bytes(tar))
    except Damaged:
        return


@given(st.lists(members, min_size=1, max_size=3), st.integers(1, 511))
def test_a_tar_that_is_cut_within_a_block_is_damaged(listed: list[tuple[Any, ...]], missing: int) -> None:
    data = _tar(listed, tarfile.PAX_FORMAT).rstrip(b"\0")
    data += bytes(-len(data) % 512)
    assert _damage(data[:-missing]) == "it ends too early"


def test_the_end_may_be_missing_altogether() -> None:
    data = _tar([("a", tarfile.REGTYPE, 0o644, 0, 0, "", b"x")], tarfile.PAX_FORMAT)[:1024]
    assert [head.path for head in _heads(data)] == ["a"]


def test_a_size_that_goes_beyond_the_end_is_damage() -> None:
    block = bytearray(_tar([("a", tarfile.REGTYPE, 0o644, 0, 0, "", b"")], tarfile.GNU_FORMAT)[:512])
    block[124:136] = b"77777777777\0"
    assert _damage(_resum(block) + bytes(4096)) == "it ends too early"


def test_a_negative_size_is_damage() -> None:
    block = bytearray(_tar([("a", tarfile.REGTYPE, 0o644, 0, 0, "", b"")], tarfile.GNU_FORMAT)[:512])
    block[124:136] = b"\xff" * 12
    assert "negative" in _damage(_resum(block) + bytes(4096))


@pytest.mark.parametrize(
    "record", [b"5 a=b\n", b"99 path=a\n", b"path=a\n", b"0 \n", b"-9 path=\n", b"8 path=a\n"]
)
def test_garbled_pax_records_are_damage(record: bytes) -> None:
    head = bytearray(_tar([("x", b"x", 0o644, 0, 0, "", b"")], tarfile.USTAR_FORMAT)[:512])
    head[124:136] = b"%011o\0" % len(record)
    assert "garbled" in _damage(_resum(head) + record.ljust(512, b"\0") + bytes(1024))


@pytest.mark.parametrize("size", ["-1", "1e3", "٣", "9" * 40, ""])
def test_a_pax_size_that_is_none_is_damage(size: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", pax_headers={}) as tar:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"size": size}
        tar.addfile(info)
    assert "is no size" in _damage(out.getvalue())


def test_an_extended_header_without_end_is_damage() -> None:
    head = bytearray(_tar([("x", b"x", 0o644, 0, 0, "", b"")], tarfile.USTAR_FORMAT)[:512])
    head[124:136] = b"%011o\0" % (2 << 20)
    assert "extended header" in _damage(_resum(head) + bytes(4 << 20))


def test_a_great_many_records_are_read_in_little_time() -> None:
    record = b"9 abc=de\n"
    body = record * (1_000_000 // len(record))
    head = bytearray(_tar([("x", b"x", 0o644, 0, 0, "", b"")], tarfile.USTAR_FORMAT)[:512])
    head[124:136] = b"%011o\0" % len(body)
    data = _resum(head) + body + bytes(-len(body) % 512)
    assert _heads(data * 3) == []


@pytest.mark.parametrize(
    ("mtime", "format", "read"),
    [
        (1.25, tarfile.PAX_FORMAT, 1_250_000_000),
        (1_700_000_000, tarfile.PAX_FORMAT, 1_700_000_000_000_000_000),
        (1_700_000_000, tarfile.GNU_FORMAT, 1_700_000_000_000_000_000),
        (-2.25, tarfile.PAX_FORMAT, 0),
        (-3, tarfile.GNU_FORMAT, 0),
    ],
)
def test_times_before_1970_become_1970(mtime: float, format: int, read: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        info = tarfile.TarInfo("a")
        info.mtime = mtime
        tar.addfile(info)
    (head,) = _heads(out.getvalue())
    assert head.mtime_ns == read


@pytest.mark.parametrize("mtime", ["tomorrow", "1e9", "", "9" * 20])
def test_a_pax_time_that_is_none_is_damage(mtime: str) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"mtime": mtime}
        tar.addfile(info)
    assert "is no mtime" in _damage(out.getvalue())


def test_extended_attributes_are_read_byte_by_byte() -> None:
    value = bytes(range(256))
    header = ustar.Headers(0).header(
        b"a", ustar.FILE, 0o644, 0, 0, xattrs={b"user.x": value, b"security.capability": b"\1\0=\n\0"}
    )
    (head,) = _heads(header + ustar.END)
    assert dict(head.xattrs) == {"user.x": value, "security.capability": b"\1\0=\n\0"}


@pytest.mark.parametrize("records", [b"9 a=bcde\n=x\n", b"9 a=bcde\n0 b=c\n", b"9 a=bcde\nx b=c\n"])
def test_a_record_without_a_length_ends_the_reading(records: bytes) -> None:
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(records)
    data = head.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + bytes(1024)
    with pytest.raises(Damaged):
        list(tarfiles.members(Forward(io.BytesIO(data))))
