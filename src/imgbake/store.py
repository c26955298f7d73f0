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
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from imgbake import copying
from imgbake import digest as digests
from imgbake.contract import Artifact
from imgbake.errors import BakeError
from imgbake.scratch import Scratch
from imgbake.store_folder import default_folder, default_limit
from imgbake.witness import ABSENT, COARSE_SETTLE_NS, UNSETTLED, Signature, signature

if TYPE_CHECKING:
    from imgbake.store_disk import Index
    from imgbake.store_upkeep import Freed, Kept, Usage

T = TypeVar("T")

_RECORD = "record:"
_BATCH = 500  # index writes that a transaction gathers
_SMALL = 1 << 18  # bytes: a file that is read at once
_TOUCH_AFTER = 5.0  # seconds for which the note that something was used may wait
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}


class Store:
    """Blobs and records in one folder. Safe from threads and other processes; opened when first used."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        size_limit: int | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        """`size_limit` is in bytes and kept to when the store is closed. `warn` is told of repairs.

        Raises UsageError when IMGBAKE_CACHE_SIZE can't be understood.
        """
        self.folder = default_folder() if folder is None else folder
        self.size_limit = default_limit() if size_limit is None else size_limit
        self._warn = warn
        self._lock = threading.RLock()
        self._index: Index | None = None
        self._scratch: Scratch | None = None
        self._pid = os.getpid()
        self._suspect = False  # has the index shown damage?
        self._grown = False
        self._used: set[str] = set()
        self._touched = time.monotonic()
        self._names = count()
        self._local = threading.local()

    @classmethod
    def open(cls, folder: Path | None = None, *, warn: Callable[[str], None] = lambda message: None) -> Store:
        """A store that is sure to be usable. Raises StoreUnwritable when it is not."""
        store = cls(folder, warn=warn)
        store.do(lambda index: None)
        return store

    def has(self, digest: str) -> bool:
        """Is there a blob of this digest? Does not read it."""
        self._flush()
        there = digests.is_digest(digest) and self._file(digest).exists()
        if there:
            self._used.add(digest)
        return there

    def path(self, digest: str) -> Path:
        """A verified file with this content, only to be read. Raises KeyError when there is none."""
        return self._verified(digest)[0]

    def add_bytes(self, data: bytes) -> str:
        """Keeps these bytes and returns their digest."""
        digest = digests.of_bytes(data)
        if self._is_kept(digest):
            return digest
        with self._written() as (file, path):
            copying.write_all(file, data)
            return self.adopt(path, digest)

    def add_file(self, path: Path) -> str:
        """Keeps a copy of this file (a reflink where the file system can) and returns its digest.

        Raises BakeError when it can't be read.
        """
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise BakeError(f"can't read {path}: {error.strerror}") from None
        try:
            if os.fstat(source).st_size < _SMALL and len(data := os.read(source, _SMALL)) < _SMALL:
                return self.add_bytes(data)
            os.lseek(source, 0, os.SEEK_SET)
            with self._written() as (file, written):
                digest = copying.copy_hashed(source, file)
                return digest if self._is_kept(digest) else self.adopt(written, digest)
        finally:
            os.close(source)

    def adopt(self, path: Path, digest: str) -> str:
        """Moves a file that the caller wrote below `scratch` into the store, trusting its digest."""
        if not digests.is_digest(digest):
            raise ValueError(f"not a digest: {digest}")
        with self._explaining():
            size = path.stat().st_size
            path.chmod(0o444)
            back = time.time_ns() - 2 * COARSE_SETTLE_NS
            os.utime(path, ns=(back, back))
        self._grown = True
        self._write(lambda index: self._place(index, path, digest, size))
        return digest

    def scratch(self) -> Path:
        """A folder on the store's file system for files that will be adopted, removed at the end.

        It is the same for all who ask in this process, so names in it must be made unique.
        """
        with self._lock:
            self.do(lambda index: None)
            assert self._scratch is not None
            if not self._scratch.folder.exists():  # the whole store was deleted under us
                self._let_go()
                self.do(lambda index: None)
            return self._scratch.folder

    def link(self, digest: str, to: Path) -> None:
        """Puts this blob at a path: a hard link if possible, else a copy, read-only either way.

        What was there is replaced at once. Raises KeyError if there is no such blob, and BakeError
        when the path can't be written.
        """
        source, before = self._verified(digest)
        with self._beside(to, source) as temporary:
            try:
                temporary.hardlink_to(source)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                copying.copy_path(source, temporary, 0o444)
            else:
                self._sign_again(digest, source, before)
            temporary.replace(to)

    def copy(self, digest: str, to: Path, mode: int = 0o644) -> None:
        """Puts a copy of this blob at a path, to be changed at will; shares blocks where possible.

        What was there is replaced at once. Raises as `link`.
        """
        source = self.path(digest)
        with self._beside(to, source) as temporary:
            copying.copy_path(source, temporary, mode)
            temporary.replace(to)

    def record(self, fingerprint: str) -> Artifact | None:
        """What was made of this fingerprint. Its blobs may be gone: ask `has` or `path`."""
        found = self.do(lambda index: index.read(_RECORD + fingerprint))
        if not isinstance(found, bytes):
            return None
        self._used.add(_RECORD + fingerprint)
        try:
            return msgspec.json.decode(found, type=Artifact)
        except msgspec.MsgspecError:  # another version's, or damaged
            return None

    def remember(self, fingerprint: str, artifact: Artifact) -> None:
        """Says what was made of this fingerprint."""
        data = msgspec.json.encode(artifact)
        self._write(lambda index: index.set(_RECORD + fingerprint, data))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Gathers what this thread writes to the index, which is much faster for many small things.

        Nobody is kept waiting: the index is only locked at the end, or when this thread reads.
        """
        if self._batch is not None:
            yield
            return
        self._local.batch = []
        try:
            yield
            self._flush()
        finally:
            self._local.batch = None

    def close(self) -> None:
        """Makes room if we made the store too large, and closes the index of it."""
        with self._lock:
            if self._index is None:
                return
            try:
                if self._grown:
                    self.gc(self.size_limit)
                self._touch(self._index)
            except BakeError as error:  # what we have built is safe
                self._warn(error.message)
            finally:
                self._let_go()

    def entries(self) -> list[Kept]:
        """Everything in the store, least recently used first."""
        from imgbake import store_upkeep

        return self.do(store_upkeep.entries)

    def usage(self) -> Usage:
        """How much is in the store."""
        from imgbake import store_upkeep

        return self.do(lambda index: store_upkeep.usage(index, self.size_limit))

    def gc(self, limit: int | None = None, older_than: float | None = None) -> Freed:
        """Removes what nobody used for `older_than` seconds, then what was used least recently until
        no more than `limit` bytes are left, and blobs that a killed process left behind.

        What was used since the oldest other process began that still uses the store is left alone.
        """
        from imgbake import store_upkeep

        self.do(self._touch)
        assert self._scratch is not None
        in_use = self._scratch.others_since()
        unused = 0.0 if older_than is None else time.time() - older_than
        most = sys.maxsize if limit is None else limit
        freed = self.do(lambda index: store_upkeep.make_room(index, most, unused, in_use))
        strays = self.do(lambda index: store_upkeep.drop_strays(index, self.folder, in_use))
        return store_upkeep.Freed(freed.number + strays.number, freed.size + strays.size)

    def verify(self) -> tuple[str, ...]:
        """Reads every blob, removes those that are damaged, and returns their digests."""
        from imgbake import store_upkeep

        self.do(lambda index: None)
        damaged = [digest for digest, sound in store_upkeep.check_blobs(self.folder) if not sound]
        for digest in damaged:
            with suppress(KeyError):
                self._verify(digest)
        for kept in self.entries():
            if kept.kind == "blob" and not self._file(kept.name).exists():
                self._drop(kept.name)
        return tuple(damaged)

    def clear(self) -> None:
        """Removes everything, whoever uses it."""
        from imgbake import store_upkeep

        with self._lock:
            self._used.clear()
            self.do(lambda index: store_upkeep.make_room(index, -1, 0.0, float("inf")))
            self.do(lambda index: store_upkeep.drop_strays(index, self.folder, float("inf")))

    def do(self, work: Callable[[Index], T]) -> T:
        """Runs `work` with the index, alone in this process. A damaged index is made again, once.

        Raises BakeError for what sqlite or the disk refuse.
        """
        self._flush()
        return self._do(work)

    def _do(self, work: Callable[[Index], T]) -> T:
        with self._lock, self._explaining():
            try:
                return work(self._opened())
            except Exception as error:
                from imgbake.store_faults import is_damage

                if not is_damage(error):
                    raise
                self._let_go()
                self._suspect = True
            return work(self._opened())

    def _opened(self) -> Index:
        if self._pid != os.getpid():
            self._after_fork()
        if self._index is None:
            from imgbake.store_opening import open_index

            self._index = open_index(self.folder, self.size_limit, self._warn, check=self._suspect)
            self._suspect = False
            self._scratch = Scratch(self.folder / "tmp")
        elif self._used and time.monotonic() - self._touched > _TOUCH_AFTER:
            self._touch(self._index)
        return self._index

    def _touch(self, index: Index) -> None:
        """Writes down what was used, which keeps it from being evicted."""
        used, self._used = self._used, set()
        if used:
            index.touch_all(used)
        self._touched = time.monotonic()

    def _let_go(self) -> None:
        index, self._index = self._index, None
        scratch, self._scratch = self._scratch, None
        if index is not None:
            index.close()
        if scratch is not None:
            scratch.close()

    def _after_fork(self) -> None:
        """Leaves what belongs to the process that we were forked from."""
        if self._scratch is not None:
            self._scratch.abandon()
        if self._index is not None:
            self._index.close()
        self._index = self._scratch = None
        self._pid = os.getpid()

    @property
    def _batch(self) -> list[Callable[[Index], object]] | None:
        batch: list[Callable[[Index], object]] | None = getattr(self._local, "batch", None)
        return batch

    def _write(self, work: Callable[[Index], object]) -> None:
        if self._batch is None:
            self._do(work)
            return
        self._batch.append(work)
        if len(self._batch) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        """Writes what this thread has gathered."""
        batch = self._batch
        if batch:
            todo = batch.copy()
            batch.clear()
            self._do(lambda index: _all(index, todo))

    def _file(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _is_kept(self, digest: str) -> bool:
        if not self._file(digest).exists():
            return False
        with suppress(KeyError):
            self._verified(digest)
            return True
        return False

    def _verified(self, digest: str) -> tuple[Path, Signature]:
        self._flush()
        if not digests.is_digest(digest):
            raise KeyError(digest)
        file = self._file(digest)
        now = signature(file)
        if now == ABSENT:
            self._drop(digest)
            raise KeyError(digest)
        row = self._do(lambda index: index.blob(digest))
        if row is None or row.signature != now:
            self._verify(digest)
        self._used.add(digest)
        return file, now

    def _verify(self, digest: str) -> None:
        """Reads a blob. One that is damaged is removed: raises KeyError."""
        file = self._file(digest)
        before, read_at = signature(file), time.time_ns()
        try:
            found = digests.of_file(file)
        except OSError:  # a bad disk, or gone
            found = ""
        if found != digest:
            self._do(lambda index: self._discard(index, digest, before))
            raise KeyError(digest)
        is_set_back = before[0] < read_at - COARSE_SETTLE_NS
        self._do(lambda index: self._sign(index, digest, before if is_set_back else UNSETTLED, before[2]))

    def _drop(self, digest: str) -> None:
        """Forgets a blob whose file is gone."""
        self._do(lambda index: self._discard(index, digest, ABSENT))

    def _discard(self, index: Index, digest: str, seen: Signature) -> None:
        if index.blob(digest) is None and seen == ABSENT:
            return
        with index.transact():
            if signature(self._file(digest)) == seen:  # or else somebody has put it there anew
                self._file(digest).unlink(missing_ok=True)
                index.delete(digest)

    def _sign(self, index: Index, digest: str, seen: Signature, size: int) -> None:
        from imgbake.store_disk import Blob

        with index.transact():
            if self._file(digest).exists():
                index.set(digest, Blob(size, seen))

    def _sign_again(self, digest: str, source: Path, before: Signature) -> None:
        """After a hard link, which moves the change time and nothing else."""
        now = signature(source)
        if (now[0], *now[2:]) == (before[0], *before[2:]):
            self._write(lambda index: self._sign(index, digest, now, now[2]))

    def _place(self, index: Index, path: Path, digest: str, size: int) -> None:
        """Moves a finished file to its place, unless there is a sound one."""
        from imgbake.store_disk import Blob

        file = self._file(digest)
        with index.transact():
            if file.exists():
                row = index.blob(digest)
                if row is not None and row.signature == signature(file):
                    path.unlink()
                    self._used.add(digest)
                    return
            path.rename(file)
            index.set(digest, Blob(size, signature(file)))

    @contextmanager
    def _written(self) -> Iterator[tuple[int, Path]]:
        """A new file below `scratch`, open for writing; removed unless it was adopted."""
        path = self.scratch() / f"blob-{next(self._names)}"
        with self._explaining():
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                yield file, path
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            finally:
                os.close(file)

    @contextmanager
    def _beside(self, to: Path, source: Path) -> Iterator[Path]:
        """A name in the same folder as a path, for a file that is not finished."""
        temporary = to.with_name(f".imgbake-{os.getpid()}-{next(self._names)}")
        try:
            yield temporary
        except OSError as error:
            if not source.exists():  # evicted just now
                raise KeyError(source.name) from None
            raise BakeError(f"can't write {to}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (BakeError, KeyError):
            raise
        except Exception as error:
            from imgbake.store_faults import explained, is_ours

            if not is_ours(error):
                raise
            raise explained(error, self.folder) from error


def _all(index: Index, works: list[Callable[[Index], object]]) -> None:
    with index.transact():
        for work in works:
            work(index)
