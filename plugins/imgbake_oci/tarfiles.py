"""Reading tar files that others wrote: ustar, PAX and GNU, forward only, believing nothing.

Python's tarfile would do, were it not ten times slower on a base of many files and, in some releases,
caught by headers with negative sizes. What a size says is what is skipped; a header with a wrong
checksum, a number that is none or a name without end is damage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

from imgbake_oci.compression import Damaged
from imgbake_oci.ustar import BLOCK

Kind = Literal["file", "dir", "symlink", "hardlink", "device", "fifo", "sparse", "unknown"]

_KINDS: dict[int, Kind] = {
    ord("0"): "file",
    ord("\0"): "file",
    ord("7"): "file",
    ord("1"): "hardlink",
    ord("2"): "symlink",
    ord("3"): "device",
    ord("4"): "device",
    ord("5"): "dir",
    ord("6"): "fifo",
    ord("S"): "sparse",
}
_HAS_CONTENT = frozenset({"file", "sparse", "unknown"})
_MOST_DIGITS = 18
_LONGEST_RECORDS = 1 << 20
_LENGTH_DIGITS = 7  # of a PAX record; more would be longer than all of them may be
_SKIP_STEP = 1 << 20
_XATTR = "SCHILY.xattr."
_DECIMAL = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]*))?", re.ASCII)
_ZEROS = bytes(BLOCK)


class Head(msgspec.Struct, frozen=True, gc=False):
    """One member, without its content. The path is as it was written."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int  # of its content as it lies in the stream
    link: str  # what a symlink holds, or the first name of a hard link
    start: int  # where its content begins in the stream
    mtime_ns: int = 0  # its modification time, in nanoseconds since 1970, none before
    xattrs: tuple[tuple[str, bytes], ...] = ()  # extended attributes, by name


class Readable(Protocol):
    """What can be read forward."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end."""


class Forward:
    """A stream read forward, which counts what it has read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.position = 0
        self.at_end = False  # was the last thing that was asked for not there at all?

    def take(self, size: int) -> bytes:
        """Exactly this many bytes. Raises Damaged when there are fewer."""
        data = self._file.read(size)
        while len(data) < size:
            more = self._file.read(size - len(data))
            if not more:
                self.at_end = not data
                raise Damaged("it ends too early")
            data += more
        self.position += size
        return data

    def skip(self, size: int) -> None:
        """Leaves out this many bytes. Raises Damaged when there are fewer."""
        while size:
            size -= len(self.take(min(size, _SKIP_STEP)))


class Seeking(Forward):
    """The same for a file in which one can jump, which saves reading what is skipped."""

    def __init__(self, file: SeekableFile, size: int) -> None:
        super().__init__(file)
        self._seekable = file
        self._size = size

    def skip(self, size: int) -> None:
        """Jumps. Raises Damaged when the file is shorter than that."""
        self.position += size
        if self.position > self._size:
            raise Damaged("it ends too early")
        self._seekable.seek(self.position)


class SeekableFile(Readable, Protocol):
    """What can also be read from anywhere."""

    def seek(self, offset: int, /) -> int:
        """Goes to this byte, counted from the start."""


def members(stream: Forward) -> Iterator[Head]:
    """The members in their order.

    The content of a member can be taken from the stream while it is the current one; what is left of
    it is skipped. Raises Damaged.
    """
    extra: dict[str, str] = {}
    while (block := _header(stream)) is not None:
        kind = chr(block[156])
        if kind in "xgLK":
            records = _records(kind, stream, _number(block[124:136]))
            if kind != "g":  # those are defaults for all that follows; nobody puts names there
                extra |= records
            continue
        if kind == "S":
            _skip_sparse_maps(stream, block)
        head = _head(block, extra, stream.position)
        yield head
        end = head.start + head.size + -head.size % BLOCK
        stream.skip(end - stream.position)
        extra = {}


def _header(stream: Forward) -> bytes | None:
    """The next header, None at the end, which is a block of zeros or the end of the file."""
    try:
        block = stream.take(BLOCK)
    except Damaged:
        if stream.at_end:
            return None
        raise
    if block == _ZEROS:
        return None
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise Damaged("a header has a wrong checksum")
    return block


def _records(kind: str, stream: Forward, size: int) -> dict[str, str]:
    """The content of an extension header, as PAX records whatever its kind."""
    if size > _LONGEST_RECORDS:
        raise Damaged(f"an extended header of {size} bytes")
    data = stream.take(size + -size % BLOCK)[:size]
    if kind == "L":
        return {"path": _text(data)}
    if kind == "K":
        return {"linkpath": _text(data)}
    return dict(_pax(data))


def _pax(data: bytes) -> Iterator[tuple[str, str]]:
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _LENGTH_DIGITS + 1)
        digits = data[start:space] if space > start else b""
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= start or not equals or data[end - 1 : end] != b"\n":
            raise Damaged("an extended header is garbled")
        yield _decoded(key), _decoded(value)
        start = end


def _skip_sparse_maps(stream: Forward, block: bytes) -> None:
    """Old GNU sparse files have their maps in further blocks between header and content."""
    goes_on = block[482]
    while goes_on:
        goes_on = stream.take(BLOCK)[504]


def _head(block: bytes, extra: dict[str, str], start: int) -> Head:
    path = extra.get("path") or _path(block)
    kind = _KINDS.get(block[156], "unknown")
    if kind == "file" and path.endswith("/"):
        kind = "dir"  # as it was before POSIX
    elif kind == "file" and any(key.startswith("GNU.sparse.") for key in extra):
        kind = "sparse"
    size = _override(extra, "size", block[124:136])
    return Head(
        path=path,
        kind=kind,
        mode=_number(block[100:108]),
        uid=_override(extra, "uid", block[108:116]),
        gid=_override(extra, "gid", block[116:124]),
        size=size if kind in _HAS_CONTENT else 0,
        link=extra.get("linkpath") or _text(block[157:257]),
        start=start,
        mtime_ns=_time(extra, block[136:148]),
        xattrs=_xattrs(extra) if extra else (),
    )


def _path(block: bytes) -> str:
    name = _text(block[0:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _override(extra: dict[str, str], key: str, field: bytes) -> int:
    """A number that a PAX record may state."""
    if (text := extra.get(key)) is None:
        return _number(field)
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_DIGITS:
        raise Damaged(f"'{text[:40]}' is no {key}")
    return int(text)


def _time(extra: dict[str, str], field: bytes) -> int:
    """The modification time in nanoseconds. What lies before 1970 becomes 1970."""
    if (text := extra.get("mtime")) is None:
        return 0 if field[0] & 0xC0 == 0xC0 else _number(field) * 1_000_000_000
    if (match := _DECIMAL.fullmatch(text)) is None:
        raise Damaged(f"'{text[:40]}' is no mtime")
    sign, seconds, fraction = match.groups("")
    return 0 if sign else int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def _xattrs(extra: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
        for key, value in extra.items()
        if key.startswith(_XATTR)
    )


def _number(field: bytes) -> int:
    """An octal number, or one in base 256 as GNU writes large ones."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40 or value >= 1 << 63:
            raise Damaged("a number in a header is negative or too large")
        return value
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise Damaged("a number in a header is none")
    return int(digits or b"0", 8)


def _text(field: bytes) -> str:
    return _decoded(field.partition(b"\0")[0])


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
