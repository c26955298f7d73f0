"""The content store: blobs by digest, and what was made of a fingerprint. Shared by all projects.

    cache.db                 the index (diskcache): sizes, order of use, records
    blobs/sha256/<hex>       the blobs, read-only, in the shape of an OCI layout
    tmp/<process>/           what a process is writing; says which processes use the store

Everything here may be deleted at any time, by hand or by another process that makes room. A blob is
trusted while its file looks as it did when it was last verified; else it is read again, and removed
when it isn't what it should be. Files come first, rows after: a file without a row is verified and
gets one when it is asked for, a row without a file is dropped.

A new blob's modification time is set back a little, so that whoever writes into it moves that time
even within the same tick of the clock.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from imgbake import digest as digests
from imgbake.contract import Artifact
from imgbake.errors import BakeError
from imgbake.files.witness import ABSENT, COARSE_SETTLE_NS, UNSETTLED, Signature, signature
from imgbake.store import copying
from imgbake.store.faults import StoreFull
from imgbake.store.folder import default_folder
from imgbake.store.index import SharedIndex
from imgbake.store.sizes import default_limit

if TYPE_CHECKING:
    from imgbake.store.disk import Index
    from imgbake.store.upkeep import Freed, Kept, Usage

_RECORD = "record:"
_SMALL = 1 << 18  # bytes: a file that is read at once
_TO_BREATHE = 1 << 24  # bytes: enough for sqlite to work
_LOST = {errno.ENOENT, errno.EIO, errno.EISDIR}  # all else, such as too many open files, proves nothing
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}


def _ignore(message: str) -> None:
    """Hears a warning that nobody wants to hear."""


class Store:
    """Blobs and records in one folder. Safe from threads and other processes; opened when first used."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        size_limit: int | None = None,
        warn: Callable[[str], None] = _ignore,
        is_gathering: bool = False,
    ) -> None:
        """`size_limit` is in bytes and kept to when the store is closed. `warn` is told of repairs.

        With `is_gathering`, what all threads write to the index is gathered, which is much faster for
        many small things. Whoever asks this store for it finds it; other processes do after `flush`.

        Raises UsageError when IMGBAKE_CACHE_SIZE can't be understood.
        """
        self.folder = default_folder() if folder is None else folder.absolute()
        self.size_limit = default_limit() if size_limit is None else size_limit
        self._warn = warn
        self._index = SharedIndex(self.folder, self.size_limit, warn, is_gathering=is_gathering)
        self._blobs = f"{self.folder}/blobs/sha256/"
        self._names = count()
        self._has_grown = False

    @classmethod
    def open(
        cls,
        folder: Path | None = None,
        *,
        warn: Callable[[str], None] = _ignore,
        is_gathering: bool = False,
    ) -> Store:
        """A store that is sure to be usable. Raises StoreUnwritable when it is not."""
        store = cls(folder, warn=warn, is_gathering=is_gathering)
        store._index.do(lambda index: None)
        return store

    def has(self, digest: str) -> bool:
        """Is there a blob of this digest? Does not read it."""
        self._index.settle(digest)
        there = digests.is_digest(digest) and os.path.exists(self._file(digest))
        if there:
            self._index.used(digest)
        return there

    def path(self, digest: str) -> Path:
        """A verified file with this content, only to be read. Raises KeyError when there is none."""
        return Path(self._verified(digest)[0])

    def add_bytes(self, data: bytes) -> str:
        """Keeps these bytes and returns their digest."""
        digest = digests.of_bytes(data)
        if not self._is_kept(digest):
            with self._new_file() as (file, path):
                copying.write_all(file, data)
                self._adopt(file, path, digest, len(data))
        return digest

    def add_file(self, path: Path) -> str:
        """Keeps a copy of this file (a reflink where the file system can) and returns its digest.

        Raises BakeError when it can't be read.
        """
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would block
        except OSError as error:
            raise BakeError(f"can't read {path}: {error.strerror}") from None
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise BakeError(f"can't keep {path}: it is not a file")
            size = found.st_size
            if size < _SMALL and len(data := os.read(source, size + 1)) <= size:
                return self.add_bytes(data)
            os.lseek(source, 0, os.SEEK_SET)
            return self._add_large(source)
        finally:
            os.close(source)

    def adopt(self, path: Path, digest: str) -> str:
        """Moves a file that the caller wrote below `scratch` into the store, trusting its digest."""
        if not digests.is_digest(digest):
            raise ValueError(f"not a digest: {digest}")
        with self._index.explaining():
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._adopt(file, os.fspath(path), digest, os.fstat(file).st_size)
                self._index.flush()  # whoever gave it away may remove what is left of it at once
            finally:
                os.close(file)
        return digest

    def scratch(self) -> Path:
        """A folder on the store's file system for files that will be adopted, removed at the end.

        It is the same for all who ask in this process, so names in it must be made unique.
        """
        return self._index.scratch().folder

    def link(self, digest: str, to: Path) -> None:
        """Puts this blob at a path: a hard link if possible, else a copy, read-only either way.

        What was there is replaced at once. Raises KeyError if there is no such blob, and BakeError
        when the path can't be written.
        """
        source, before = self._verified(digest)
        with self._beside(to, source) as temporary:
            try:
                os.link(source, temporary)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                copying.copy_path(source, temporary, 0o444)
            os.replace(temporary, to)
        self._sign_again(digest, before)

    def copy(self, digest: str, to: Path, mode: int = 0o644) -> None:
        """Puts a copy of this blob at a path, to be changed at will; shares blocks where possible.

        What was there is replaced at once. Raises as `link`.
        """
        source, _ = self._verified(digest)
        with self._beside(to, source) as temporary:
            copying.copy_path(source, temporary, mode)
            os.replace(temporary, to)

    def record(self, fingerprint: str) -> Artifact | None:
        """What was made of this fingerprint. Its blobs may be gone: ask `has` or `path`."""
        key = _RECORD + fingerprint
        found = self._index.read(key, lambda index: index.read(key))
        if not isinstance(found, bytes):
            return None
        self._index.used(key)
        try:
            return msgspec.json.decode(found, type=Artifact)
        except msgspec.MsgspecError:  # another version's, or damaged
            return None

    def remember(self, fingerprint: str, artifact: Artifact) -> None:
        """Says what was made of this fingerprint."""
        key, data = _RECORD + fingerprint, msgspec.json.encode(artifact)
        self._index.write(key, lambda index: index.set(key, data))

    def flush(self) -> None:
        """Writes what is gathered, for other processes to see. Raises BakeError when it can't."""
        self._index.flush()

    def close(self) -> None:
        """Writes what is gathered, makes room if we made the store too large, and closes its index.

        A later use opens it again.
        """
        try:
            self._index.flush()
            if not self._index.is_open:
                return
            if self._has_grown and self._index.do(lambda index: index.volume()) > self.size_limit:
                self.gc(self.size_limit)
            self._index.note_used()
        except BakeError as error:  # what was built is safe, whatever becomes of the store
            self._warn(error.message)
        finally:
            self._index.close()

    def entries(self) -> list[Kept]:
        """Everything in the store, least recently used first."""
        from imgbake.store import upkeep

        return self._index.do(upkeep.entries)

    def usage(self) -> Usage:
        """How much is in the store."""
        from imgbake.store import upkeep

        return self._index.do(lambda index: upkeep.usage(index, self.size_limit))

    def gc(self, limit: int | None = None, older_than: float | None = None) -> Freed:
        """Removes what nobody used for `older_than` seconds, then what was used least recently until
        no more than `limit` bytes are left, and blobs that a killed process left behind.

        What was used since the oldest other process began that still uses the store is left alone.
        """
        from imgbake.store import upkeep

        try:
            self._index.note_used()
        except StoreFull:  # not even room to open it
            upkeep.drop_oldest(self.folder, _TO_BREATHE)
            self._index.note_used()
        in_use = self._index.in_use_since()
        unused = 0.0 if older_than is None else time.time() - older_than
        most = sys.maxsize if limit is None else limit
        return self._index.do(lambda index: upkeep.make_room(index, self.folder, most, unused, in_use))

    def verify(self) -> tuple[str, ...]:
        """Reads every blob, removes those that are damaged, and returns their digests."""
        from imgbake.store import upkeep

        damaged = [digest for digest, sound in upkeep.check_blobs(self.folder) if not sound]
        for digest in damaged:
            with suppress(KeyError):
                self._verify(digest)
        for kept in self.entries():
            if kept.kind == "blob" and not os.path.exists(self._file(kept.name)):
                self._drop(kept.name)
        return tuple(damaged)

    def clear(self) -> None:
        """Removes everything, whoever uses it."""
        from imgbake.store import upkeep

        self._index.forget_used()
        upkeep.drop_oldest(self.folder, sys.maxsize)  # first: opening the index takes room
        self._index.do(lambda index: upkeep.clear(index, self.folder))

    def _file(self, digest: str) -> str:
        return self._blobs + digest.removeprefix("sha256:")

    def _is_kept(self, digest: str) -> bool:
        if os.path.exists(self._file(digest)):
            with suppress(KeyError):
                self._verified(digest)
                return True
        return False

    def _verified(self, digest: str) -> tuple[str, Signature]:
        """The file of a blob that is sure to be sound, and its signature. Raises KeyError."""
        if not digests.is_digest(digest):
            raise KeyError(digest)
        self._index.settle(digest)
        file = self._file(digest)
        now = signature(file)
        if now == ABSENT:
            self._drop(digest)
            raise KeyError(digest)
        row = self._index.read(digest, lambda index: index.blob(digest))
        if row is None or row.signature != now:
            self._verify(digest)
        self._index.used(digest)
        return file, now

    def _verify(self, digest: str) -> None:
        """Reads a blob. One that is damaged is removed: raises KeyError."""
        file = self._file(digest)
        before, read_at = signature(file), time.time_ns()
        with self._index.explaining():
            try:
                found = digests.of_file(file)
            except OSError as error:
                if error.errno not in _LOST:
                    raise
                found = ""
        if found != digest:
            self._index.do(lambda index: self._discard(index, digest, before))
            raise KeyError(digest)
        is_set_back = before[0] < read_at - COARSE_SETTLE_NS
        self._index.do(
            lambda index: self._sign(index, digest, before if is_set_back else UNSETTLED, before[2])
        )

    def _drop(self, digest: str) -> None:
        """Forgets a blob whose file is gone."""

        if self._index.read(digest, lambda index: index.blob(digest)) is not None:
            self._index.do(lambda index: self._discard(index, digest, ABSENT))

    def _discard(self, index: Index, digest: str, seen: Signature) -> None:
        with index.transact():
            if signature(self._file(digest)) == seen:  # or else somebody has put it there anew
                with suppress(FileNotFoundError):
                    os.unlink(self._file(digest))
                index.delete(digest)

    def _sign(self, index: Index, digest: str, seen: Signature, size: int) -> None:
        from imgbake.store.disk import Blob

        with index.transact():
            if os.path.exists(self._file(digest)):
                index.set(digest, Blob(size, seen))

    def _sign_again(self, digest: str, before: Signature) -> None:
        """After a hard link, which moves the change time and nothing else."""
        now = signature(self._file(digest))
        if now != before and (now[0], *now[2:]) == (before[0], *before[2:]):
            self._index.write(digest, lambda index: self._sign(index, digest, now, now[2]))

    def _add_large(self, source: int) -> str:
        with self._new_file() as (file, path):
            digest = copying.copy_hashed(source, file)
            if self._is_kept(digest):
                os.unlink(path)
            else:
                self._adopt(file, path, digest, os.fstat(file).st_size)
            return digest

    def _adopt(self, file: int, path: str, digest: str, size: int) -> None:
        """Puts an open file that is finished in its place, read-only and with its time set back."""
        os.fchmod(file, 0o444)
        back = time.time_ns() - 2 * COARSE_SETTLE_NS
        os.utime(file, ns=(back, back))
        self._has_grown = True
        self._index.write(digest, lambda index: self._place(index, path, digest, size))

    def _place(self, index: Index, path: str, digest: str, size: int) -> None:
        from imgbake.store.disk import Blob

        file = self._file(digest)
        with index.transact():
            now = signature(file)
            row = index.blob(digest) if now != ABSENT else None
            if row is not None and row.signature == now:
                os.unlink(path)
                self._index.used(digest)
                return
            try:
                os.rename(path, file)
            except FileNotFoundError:
                if now == ABSENT or os.path.exists(path):
                    os.makedirs(self._blobs, exist_ok=True)
                    os.rename(path, file)
                # Else it was moved before the index turned out to be damaged.
            index.set(digest, Blob(size, signature(file)))

    @contextmanager
    def _new_file(self) -> Iterator[tuple[int, str]]:
        """A new file below `scratch`, open for writing; removed when something fails."""
        path = f"{self.scratch()}/blob-{next(self._names)}"
        with self._index.explaining():
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                yield file, path
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)
                raise
            finally:
                os.close(file)

    @contextmanager
    def _beside(self, to: Path, source: str) -> Iterator[str]:
        """A name in the same folder as a path, for a file that is not finished."""
        temporary = os.fspath(to.with_name(f".imgbake-{os.getpid()}-{next(self._names)}"))
        try:
            yield temporary
        except OSError as error:
            if not os.path.exists(source):  # evicted just now
                raise KeyError(os.path.basename(source)) from None
            raise BakeError(f"can't write {to}: {error.strerror}") from error
        finally:
            # After a link to what was there already, rename leaves both names.
            with suppress(OSError):
                os.unlink(temporary)
