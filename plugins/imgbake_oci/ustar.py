"""Headers of tar files: ustar, and PAX records for what does not fit (POSIX.1-2017, pax, "ustar
Interchange Format" and "pax Extended Header").

One modification time serves all headers, user and group names stay empty, and records are sorted, so
that a header depends on nothing but its arguments. Most files of a tree share everything except name
and size: those parts are made once, which keeps a header at about a microsecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from zlib import adler32

BLOCK = 512
END = bytes(2 * BLOCK)

FILE = b"0"
HARDLINK = b"1"
SYMLINK = b"2"
FOLDER = b"5"
FIFO = b"6"
_EXTENDED = b"x"
_XATTR = b"SCHILY.xattr."  # star's and GNU tar's records of extended attributes, as image-spec has them

_NAME = 100
_PREFIX = 155
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_SUM_OF_BLANK = 8 * 0x20  # while the checksum is made, its own field counts as spaces


class _Shared(NamedTuple):
    """A header without name, size and checksum."""

    before_size: bytes
    before_sum: bytes
    after_sum: bytes
    total: int  # what these parts add to the checksum


class Headers:
    """Makes the headers of one tar file. `mtime`, in seconds since 1970, is that of every member."""

    def __init__(self, mtime: int) -> None:
        self._mtime = mtime
        self._shared: dict[tuple[bytes, int, int, int], _Shared] = {}

    def header(
        self,
        name: bytes,
        kind: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int = 0,
        link: bytes = b"",
        xattrs: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """One or more whole blocks. `name` is relative, and ends with a slash if it is a folder's.

        Names of `xattrs` hold no "=".
        """
        shared = self._shared.get((kind, mode, uid, gid))
        if shared is None or link or xattrs or len(name) > _NAME or size > _MAX_SIZE or not name.isascii():
            return self._general(name, kind, mode, uid, gid, size, link, xattrs or {})
        before_size, before_sum, after_sum, total = shared
        digits = b"%011o" % size
        # The low half of Adler-32 is one more than the sum of the bytes, while that is below 65,521.
        total += (adler32(name) & 0xFFFF) + (adler32(digits) & 0xFFFF) - 2
        return b"%b%b%b%b%06o%b" % (
            name.ljust(_NAME, b"\0"),
            before_size,
            digits,
            before_sum,
            total,
            after_sum,
        )

    def _general(
        self,
        name: bytes,
        kind: bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        link: bytes,
        xattrs: Mapping[bytes, bytes],
    ) -> bytes:
        records = {_XATTR + key: value for key, value in xattrs.items()}
        short, prefix = _split(name)
        if not short:
            records[b"path"] = name
            short = _approximate(name)
        if len(link) > _NAME or not link.isascii():
            records[b"linkpath"] = link
            link = _approximate(link)
        numbers = (
            mode,
            _fitting(records, b"uid", uid, _MAX_ID),
            _fitting(records, b"gid", gid, _MAX_ID),
            _fitting(records, b"size", size, _MAX_SIZE),
            _fitting(records, b"mtime", self._mtime, _MAX_SIZE),
        )
        block = _block(short, kind, numbers, link, prefix)
        if records:
            return self._extended(records) + block
        if not link and not prefix:
            self._shared[kind, mode, uid, gid] = _shared(block)
        return block

    def _extended(self, records: dict[bytes, bytes]) -> bytes:
        body = b"".join(_record(key, value) for key, value in sorted(records.items()))
        mtime = min(self._mtime, _MAX_SIZE)
        head = _block(b"././@PaxHeader", _EXTENDED, (0o644, 0, 0, len(body), mtime), b"", b"")
        return head + body + padding(len(body))


def padding(size: int) -> bytes:
    """What follows content of this size, up to the next block."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """The name and its prefix as ustar holds them; an empty name if ustar can't."""
    if not name.isascii():
        return b"", b""
    if len(name) <= _NAME:
        return name, b""
    slash = name.find(b"/", len(name) - _NAME - 1, len(name) - 1)
    return (name[slash + 1 :], name[:slash]) if 0 < slash <= _PREFIX else (b"", b"")


def _approximate(name: bytes) -> bytes:
    """What a reader that does not know PAX gets to see: the start of the name, in ASCII."""
    return bytes(byte if byte < 0x80 else 0x5F for byte in name[:_NAME])


def _fitting(records: dict[bytes, bytes], key: bytes, value: int, limit: int) -> int:
    """The number, or 0 and a record of it when it has too many digits."""
    if value <= limit:
        return value
    records[key] = b"%d" % value
    return 0


def _block(name: bytes, kind: bytes, numbers: tuple[int, ...], link: bytes, prefix: bytes) -> bytes:
    """One header block. The numbers are mode, uid, gid, size and modification time."""
    block = bytearray(BLOCK)
    block[0 : len(name)] = name
    block[100:148] = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % numbers
    block[148:157] = b"        " + kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[329:345] = b"0000000\0" * 2
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _shared(block: bytes) -> _Shared:
    before_size, before_sum, after_sum = block[100:124], block[135:148], block[154:]
    # `after_sum` begins with the end of the checksum's own field, a zero byte and a space.
    total = sum(before_size) + sum(before_sum) + sum(after_sum) - 0x20 + _SUM_OF_BLANK
    return _Shared(before_size, before_sum, after_sum, total)


def _record(key: bytes, value: bytes) -> bytes:
    """A PAX record; its length counts the digits of the length itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)
