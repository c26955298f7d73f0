"""The headers that we write, against Python's tarfile and GNU tar."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from imgbake_oci import tarfiles, ustar
from imgbake_oci.tarfiles import Forward
from imgbake_oci.tests.baked import program

_TYPES = {"file": ustar.FILE, "dir": ustar.FOLDER, "symlink": ustar.SYMLINK, "hardlink": ustar.HARDLINK}

# Every length around the borders of 100 and 155 bytes, slashes in every place, and any characters.
segments = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
ascii_segments = st.integers(1, 180).map("n".__mul__)
paths = st.lists(st.one_of(segments, ascii_segments), min_size=1, max_size=6).map("/".join)
ids = st.one_of(st.integers(0, 70_000), st.integers(2_097_150, 2_097_154), st.integers(0, 2**32 - 2))
modes = st.integers(0, 0o7777)
epochs = st.one_of(st.just(0), st.integers(0, 2**31), st.integers(0o77777777776, 0o100000000001))


def _read(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + ustar.END)) as tar:
        (member,) = tar.getmembers()
    return member


@given(paths, st.sampled_from(sorted(_TYPES)), modes, ids, ids, epochs, paths)
def test_what_is_written_is_what_tarfile_reads(
    path: str, kind: str, mode: int, uid: int, gid: int, epoch: int, link: str
) -> None:
    link = link if "link" in kind else ""
    name = (path + "/" if kind == "dir" else path).encode()
    headers = ustar.Headers(epoch)
    for _ in range(2):  # the second time from the shared part
        header = headers.header(name, _TYPES[kind], mode, uid, gid, 0, link.encode())
        assert len(header) % ustar.BLOCK == 0
        read = _read(header)
        assert (read.name, read.type, read.linkname) == (path, _TYPES[kind], link)
        assert (read.mode, read.uid, read.gid, read.mtime) == (mode, uid, gid, epoch)
        assert (read.uname, read.gname) == ("", "")


@given(st.lists(st.tuples(ascii_segments, st.integers(0, 0o100000000000)), min_size=1, max_size=20))
def test_headers_made_from_the_shared_part_equal_those_made_alone(members: list[tuple[str, int]]) -> None:
    headers = ustar.Headers(0)
    for name, size in members:
        alone = ustar.Headers(0).header(name.encode(), ustar.FILE, 0o644, 0, 0, size)
        assert headers.header(name.encode(), ustar.FILE, 0o644, 0, 0, size) == alone


def test_a_size_of_more_than_eight_gigabytes_has_a_record() -> None:
    header = ustar.Headers(0).header(b"big", ustar.FILE, 0o644, 0, 0, 8 << 30)
    assert tarfile.TarInfo.frombuf(header[-512:], "utf-8", "strict").size == 0
    assert b"19 size=8589934592\n" in header


@given(st.lists(st.tuples(paths, modes, ids), min_size=1, max_size=12, unique_by=lambda each: each[0]))
def test_many_headers_follow_each_other(members: list[tuple[str, int, int]]) -> None:
    headers = ustar.Headers(1_700_000_000)
    data = b"".join(
        headers.header(path.encode(), ustar.FILE, mode, uid, uid, len(path)) + b"x" * len(path)
        + ustar.padding(len(path))
        for path, mode, uid in members
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(data + ustar.END)) as tar:
        read = [(member.name, member.mode, member.uid, member.size) for member in tar]
    assert read == [(path, mode, uid, len(path)) for path, mode, uid in members]


def test_gnu_tar_lists_what_we_wrote() -> None:
    headers = ustar.Headers(1_000_000_000)
    deep = "/".join(["a" * 60] * 5)
    data = b"".join(
        [
            headers.header(b"srv/", ustar.FOLDER, 0o1777, 0, 0),
            headers.header(b"srv/tool", ustar.FILE, 0o4755, 1000, 1001, 3) + b"abc" + ustar.padding(3),
            headers.header(b"srv/again", ustar.HARDLINK, 0o4755, 1000, 1001, 0, b"srv/tool"),
            headers.header("srv/grün".encode(), ustar.SYMLINK, 0o777, 4_000_000_000, 0, 0, deep.encode()),
            headers.header(deep.encode(), ustar.FILE, 0o600, 0, 0),
            ustar.END,
        ]
    )
    listed = subprocess.run(
        [program("tar"), "--list", "--verbose", "--numeric-owner", "--utc", "--file", "-"],
        input=data, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
    )  # fmt: skip
    lines = [" ".join(line.split()) for line in listed.stdout.decode().splitlines()]
    assert lines == [
        "drwxrwxrwt 0/0 0 2001-09-09 01:46 srv/",
        "-rwsr-xr-x 1000/1001 3 2001-09-09 01:46 srv/tool",
        "hrwsr-xr-x 1000/1001 0 2001-09-09 01:46 srv/again link to srv/tool",
        f"lrwxrwxrwx 4000000000/0 0 2001-09-09 01:46 srv/grün -> {deep}",
        f"-rw------- 0/0 0 2001-09-09 01:46 {deep}",
    ]
    assert listed.stderr == b""


@given(paths, modes, st.dictionaries(st.text("abc.é", min_size=1, max_size=9), st.binary(max_size=80)))
def test_extended_attributes_are_records_of_their_member_alone(
    path: str, mode: int, xattrs: dict[str, bytes]
) -> None:
    named = {f"user.{name}".encode(): value for name, value in xattrs.items()}
    headers = ustar.Headers(0)
    data = headers.header(path.encode(), ustar.FILE, mode, 0, 0, xattrs=named)
    data += headers.header(b"next", ustar.FILE, mode, 0, 0) + ustar.END
    with_them, without = tarfiles.members(Forward(io.BytesIO(data)))
    assert (with_them.path, with_them.mode) == (path, mode)
    assert {name.encode(): value for name, value in with_them.xattrs} == named
    assert (without.path, without.xattrs) == ("next", ())
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [path, "next"]


def test_gnu_tar_restores_extended_attributes_and_pipes(tmp_path: Path) -> None:
    headers = ustar.Headers(0)
    xattrs = {b"user.long": bytes(range(256)) * 4, b"user.empty": b""}
    data = b"".join(
        [
            headers.header(b"folder/", ustar.FOLDER, 0o755, 0, 0, xattrs={b"user.of": b"a folder"}),
            headers.header(b"folder/file", ustar.FILE, 0o644, 0, 0, 2, xattrs=xattrs),
            b"ab" + ustar.padding(2),
            headers.header(b"folder/pipe", ustar.FIFO, 0o600, 0, 0),
            ustar.END,
        ]
    )
    command = [program("tar"), "--extract", "--xattrs", "--no-same-owner", "--directory", str(tmp_path)]
    unpacked = subprocess.run(command, input=data, capture_output=True, check=True)
    assert unpacked.stderr == b""
    file = tmp_path / "folder/file"
    assert {name.encode(): os.getxattr(file, name) for name in os.listxattr(file)} == xattrs
    assert os.getxattr(tmp_path / "folder", "user.of") == b"a folder"
    assert (tmp_path / "folder/pipe").is_fifo()
