"""Archives that a component unpacks: zip, and tar plain or compressed with gzip, zstd, bzip2 or xz.

An archive becomes entries whose contents can be read in any order; for that, a compressed tar is
decompressed into the work folder. Nothing is ever extracted by its name. Still every name is checked
here: what leaves the folder that it is unpacked into (`..`, absolute paths, links that lead out) and
devices and pipes are refused, so that an image holds what its recipe says and nothing beside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from imgbake.api import Copied, Entry, StepError, glob
from imgbake_oci import compression, tarfiles, ustar
from imgbake_oci.compression import Content, Damaged
from imgbake_oci.placing import Open, Unpacked

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PERMISSIONS = 0o7777
_LONGEST_LINK = 4096
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_ZIP_ENCRYPTED = 1  # of the flags (APPNOTE 4.4.4)
_ZIP_UTF8 = 1 << 11  # of the flags; without it a name is in code page 437 (APPNOTE, D.1)
_ZIP_LOCAL_HEADER = 30  # bytes, without name and extra field (APPNOTE 4.3.7)
_UNIX = frozenset({3, 19})  # systems that store permissions, Unix and macOS (APPNOTE 4.4.2)
_WINDOWS = frozenset({0, 10})  # those whose programs may write backslashes
_REFUSED = {
    "device": "a device",
    "fifo": "a named pipe",
    "sparse": "a sparse file",
    "unknown": "something that is no file",
}
_DRIVE = re.compile(r"[A-Za-z]:")


@contextlib.contextmanager
def opened(
    path: Path, shown: str, copied: Copied, work: Path, check: Callable[[], None]
) -> Iterator[Unpacked]:
    """An archive's members, their contents readable until the block ends.

    `shown` names it in errors, and `copied` says where it is unpacked and what is left out. Raises
    StepError for an archive that is damaged or refused; reading a content may raise Damaged.
    """
    gathered = _Gathered(shown, copied)
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        try:
            start = file.read(ustar.BLOCK)
            file.seek(0)
            if start.startswith(_ZIP_STARTS):
                _gather_zip(stack.enter_context(_zip(file)), gathered)
            else:
                if (packed := compression.detect(start)) != "none":
                    plain = stack.enter_context(tempfile.TemporaryFile(dir=work))
                    _decompress(file, packed, plain, check)
                    file = plain
                _gather_tar(file, gathered)
        except (Damaged, zipfile.BadZipFile) as error:
            hint = "what is unpacked is a zip, or a tar plain or compressed with gzip, zstd, bzip2 or xz"
            raise StepError(f"{shown} is damaged, or no archive: {error}", hint=hint) from error
        yield Unpacked(tuple(gathered.entries.values()), gathered.contents)


class _Gathered:
    """The entries of one archive, each checked as it is added."""

    def __init__(self, shown: str, copied: Copied) -> None:
        self.entries: dict[str, Entry] = {}
        self.contents: dict[str, Open] = {}
        self._shown = shown
        self._to = posixpath.normpath(copied.to).rstrip("/")
        self._is_excluded = glob.Matcher((), copied.exclude).excluded
        self._all: dict[str, tuple[Entry, Open | None]] = {}  # excluded ones too, with hard links followed
        self._named: dict[Open, str] = {}  # a content's first name in the image
        self._linked: set[str] = set()

    def add(
        self, name: str, kind: str, mode: int, size: int = 0, link: str = "", content: Open | None = None
    ) -> None:
        """A member, by the name that the archive gives it."""
        path = self._path(name)
        if not path:
            return  # the folder that is unpacked into
        entry = Entry(
            path, kind, mode & _PERMISSIONS, link if kind == "symlink" else "", size, self._source(path)
        )
        if kind == "hardlink":
            entry, content = self._linked_entry(entry, link)
        if entry.kind == "symlink" and not self._is_excluded(path):
            self._check_symlink(path, entry.digest)
        if path in self._linked:
            self.refuse(f"holds {name!r} again after a hard link to it")
        self._all[path] = (entry, content)
        if not self._is_excluded(path):
            self._keep(path, entry, content)

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Raises the error for what this archive must not hold."""
        raise StepError(f"{self._shown} {why}", hint=hint)

    def refuse_member(self, name: str, what: str) -> None:
        """Raises the error for a member of this kind, unless it is excluded."""
        path = self._path(name)
        if not self._is_excluded(path):
            self.refuse(f"holds {what}, {name!r}", f'leave it out: exclude = ["{path}"]')

    def _keep(self, path: str, entry: Entry, content: Open | None) -> None:
        """Adds an entry to the result; a content that is there by another name becomes a hard link."""
        if content is not None:
            first = self._named.setdefault(content, path)
            if first != path:
                self._linked.add(first)
                entry = Entry(path, "hardlink", entry.mode, first, 0, entry.source)
            else:
                self.contents[path] = content
        self.entries[path] = entry

    def _linked_entry(self, entry: Entry, link: str) -> tuple[Entry, Open | None]:
        """What a hard link is: the member that it names, once more."""
        first, content = self._all.get(self._path(link), (None, None))
        if first is None or first.kind == "dir":
            self.refuse(f"holds a hard link {entry.path!r} to {link!r}, which is no file before it")
        return Entry(entry.path, first.kind, first.mode, first.digest, first.size, entry.source), content

    def _path(self, name: str) -> str:
        if "\0" in name or not name:
            self.refuse(f"holds a member whose name is {name!r}")
        if name.startswith("/") or ".." in name.split("/"):
            self.refuse(
                f"holds {name!r}, a path that leaves the archive", "make the archive anew, without it"
            )
        return posixpath.normpath(name) if posixpath.normpath(name) != "." else ""

    def _check_symlink(self, path: str, link: str) -> None:
        if not link or "\0" in link or len(link) > _LONGEST_LINK:
            self.refuse(f"holds a symlink {path!r} that leads nowhere")
        goal = posixpath.normpath(posixpath.join(self._to or "/", posixpath.dirname(path), link))
        if goal != self._to and not goal.startswith(f"{self._to}/"):
            hint = f'leave it out: exclude = ["{path}"]'
            self.refuse(f"holds a symlink {path!r} to {link!r}, out of {self._to}/", hint)

    def _source(self, path: str) -> str:
        return f"{self._shown} ({path})"


def _zip(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except NotImplementedError as error:  # a later version of the format
        raise Damaged(str(error)) from error


def _gather_zip(archive: zipfile.ZipFile, gathered: _Gathered) -> None:
    members = archive.infolist()
    _check_overlap(members)
    for member in members:
        name = member.filename
        if member.create_system in _WINDOWS:
            name = name.replace("\\", "/")
            if _DRIVE.match(name):
                gathered.refuse(f"holds {name!r}, a path that leaves the archive")
        if member.flag_bits & _ZIP_ENCRYPTED or member.compress_type not in _ZIP_METHODS:
            what = "an encrypted member" if member.flag_bits & _ZIP_ENCRYPTED else "an unknown compression"
            gathered.refuse_member(name, what)
        else:
            _gather_zipped(archive, member, name, gathered)


def _gather_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, gathered: _Gathered) -> None:
    unix = member.external_attr >> 16 if member.create_system in _UNIX else 0
    content = _ZipContent(archive, member)
    if name.endswith("/"):
        gathered.add(name, "dir", unix or 0o755)
    elif stat.S_ISLNK(unix):
        if member.file_size > _LONGEST_LINK:
            raise Damaged(f"the symlink {name!r} has {member.file_size} bytes")
        with content() as file:
            gathered.add(name, "symlink", 0o777, link=os.fsdecode(file.read(_LONGEST_LINK)))
    elif stat.S_IFMT(unix) in (0, stat.S_IFREG):
        gathered.add(name, "file", unix or 0o644, member.file_size, content=content)
    else:
        gathered.refuse_member(name, "a device or pipe")


def _check_overlap(members: list[zipfile.ZipInfo]) -> None:
    """Members that share their bytes are how a small zip claims to hold terabytes."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise Damaged(f"{member.filename!r} overlaps the member before it")
        name = member.orig_filename.encode("utf-8" if member.flag_bits & _ZIP_UTF8 else "cp437")
        end = member.header_offset + _ZIP_LOCAL_HEADER + len(name) + member.compress_size


class _ZipContent:
    """Opens a member of a zip."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._member = member

    def __call__(self) -> Content:
        """The content. Raises Damaged, as does reading it."""
        try:
            return Content(self._archive.open(self._member), (zipfile.BadZipFile,))
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise Damaged(str(error)) from error


def _decompress(file: IO[bytes], packed: str, into: IO[bytes], check: Callable[[], None]) -> None:
    with compression.reader(file, packed) as content:
        while data := content.read(compression.PIECE):
            check()
            into.write(data)
    into.flush()


def _gather_tar(plain: IO[bytes], gathered: _Gathered) -> None:
    size = plain.seek(0, os.SEEK_END)
    plain.seek(0)
    if not size:
        raise Damaged("it is empty")
    stream = tarfiles.Seeking(plain, size)
    for head in tarfiles.members(stream):
        if head.kind in ("file", "dir", "symlink", "hardlink"):
            content = _TarContent(plain, head) if head.kind == "file" else None
            gathered.add(head.path, head.kind, head.mode, head.size, head.link, content)
        else:
            gathered.refuse_member(head.path, _REFUSED[head.kind])
    if stream.at_end:  # or else half a tar, cut between two members, would pass for a whole one
        raise Damaged("it ends too early, without the blocks of zeros that end a tar")


class _TarContent:
    """Opens a member of a tar that is not compressed, by its place."""

    def __init__(self, plain: IO[bytes], head: tarfiles.Head) -> None:
        self._plain = plain
        self._start = head.start
        self._size = head.size

    def __call__(self) -> Content:
        """The content."""
        return Content(io.BufferedReader(_Range(self._plain.fileno(), self._start, self._size)))


class _Range(io.RawIOBase):
    """A part of an open file, which it leaves open."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._at = start
        self._end = start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: self._end - self._at]
        count = os.preadv(self._descriptor, (view,), self._at)
        self._at += count
        return count
