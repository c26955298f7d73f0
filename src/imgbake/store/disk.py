"""The store's index: diskcache, taught to keep blobs as named files and nothing as a pickle.

A blob's row has the key "sha256:<hex>" and the file blobs/sha256/<hex> (the shape of an OCI layout,
image-spec image-layout.md); its value is the signature at which the file was last verified. Every
other row holds bytes. diskcache keeps the sizes, the order of use and the locks between processes.

Imported only when the store is first used: diskcache and sqlite3 take a while to load.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, MODE_BINARY, MODE_RAW

from imgbake import digest as digests
from imgbake.files.witness import UNSETTLED, Signature

BLOBS = "blobs/sha256"
TIMEOUT = 60.0  # seconds to wait for another process's transaction
_LAST_MADE = "Settings_size_delete"  # of all that diskcache makes in a new database


class Blob(NamedTuple):
    """A blob's row: its size, and the signature that its file had when it was last verified."""

    size: int
    signature: Signature = UNSETTLED


class Row(NamedTuple):
    """What the index says of one key. `size` is in bytes, `used` in seconds since 1970."""

    key: str
    size: int
    used: float


class Refused(Exception):
    """A row that we did not write, such as a pickle. It is never decoded."""


def filename(digest: str) -> str:
    """Where a blob lies, relative to the store."""
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"


class BlobDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Turns keys and values into columns: text keys, blobs and bytes, and nothing else."""

    def put(self, key: object) -> tuple[str, bool]:
        """The key as the database has it."""
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: bool) -> str:
        """The key of a row. Raises Refused for one that isn't text."""
        if not raw or not isinstance(key, str):
            raise Refused("a key that isn't text")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, str | None, Any]:
        """The columns size, mode, filename and value. A blob's file is already in its place."""
        if isinstance(value, Blob) and isinstance(key, str):
            signature = " ".join(map(str, value.signature))
            return value.size, MODE_BINARY, filename(key), signature
        if isinstance(value, bytes):
            return 0, MODE_RAW, None, sqlite3.Binary(value)  # it is counted with the database's pages
        raise TypeError(f"a value is a blob or bytes, not {type(value).__name__}")

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> Blob | bytes:
        """The value of a row; of a blob, the signature. Raises Refused for what `store` can't write."""
        if mode == MODE_RAW and isinstance(value, bytes):
            return value
        if mode == MODE_BINARY and isinstance(value, str):
            numbers = value.split(" ")
            if len(numbers) == 4:
                modified, changed, size, inode = map(int, numbers)
                return Blob(size, (modified, changed, size, inode))
        raise Refused(f"a row of mode {mode}")

    def remove(self, file_path: str) -> None:
        """Deletes a blob's file, and nothing that only looks like one. What can't be deleted stays."""
        digest = "sha256:" + os.path.basename(file_path)
        if digests.is_digest(digest):
            with suppress(OSError):
                os.unlink(os.path.join(self._directory, filename(digest)))


class Index(diskcache.Cache):  # type: ignore[misc]  # diskcache has no types
    """diskcache's index on one connection for all threads, so that none is left open by a dead one.

    The caller holds a lock around every call. Raises sqlite3.Error and diskcache.Timeout.
    """

    def __init__(self, folder: Path, size_limit: int) -> None:
        """Opens the index, and makes it where there is none. `size_limit` is in bytes."""
        self._shared: sqlite3.Connection | None = None
        self._gone: list[str] = []  # files of rows deleted in this transaction
        settings = {
            "eviction_policy": "least-recently-used",
            "size_limit": size_limit,
            "cull_limit": 0,  # nothing is evicted in the middle of a build
        }
        try:
            if not self._opens(folder, settings):
                super().__init__(folder, timeout=TIMEOUT, disk=BlobDisk, **settings)
        except BaseException:
            self.close()
            raise

    def _opens(self, folder: Path, settings: Mapping[str, object]) -> bool:
        """Opens an index that was made with these settings, and writes nothing.

        diskcache would write each setting again, which waits for the disk several times.
        """
        self._directory, self._timeout, self._txn_id = str(folder), TIMEOUT, None
        if not (folder / DBNAME).exists():
            return False
        try:
            found = dict(self._sql("SELECT key, value FROM Settings").fetchall())
            is_whole = self._sql("SELECT 1 FROM sqlite_master WHERE name = ?", (_LAST_MADE,)).fetchone()
        except sqlite3.OperationalError:  # there are no tables yet
            found, is_whole = {}, None
        if is_whole is None or {**found, **DEFAULT_SETTINGS, **settings} != found:
            self.close()
            return False
        self._disk = BlobDisk(str(folder))
        for key, value in found.items():
            setattr(self._disk if key.startswith("disk_") else self, key.removeprefix("disk_"), value)
        ((self._page_size,),) = self._sql("PRAGMA page_size").fetchall()
        return True

    def read(self, key: str) -> Blob | bytes | None:
        """The value of a key. Unlike `get` it writes nothing; `touch_all` does, for many at once.

        A row that isn't ours, such as a pickle, is deleted; a blob's file stays, to be verified.
        """
        select = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
        row = self._sql(select, (key,)).fetchone()
        if row is None:
            return None
        mode, name, value = row
        try:
            found: Blob | bytes = self.disk.fetch(mode, name, value, read=False)
            return found
        except Refused:
            self._sql("DELETE FROM Cache WHERE key = ? AND raw = 1", (key,))
            return None

    def blob(self, digest: str) -> Blob | None:
        """The row of a blob."""
        found = self.read(digest)
        return found if isinstance(found, Blob) else None

    def touch_all(self, keys: Iterable[str], lasting: float) -> None:
        """Says that these keys were used now, unless that was said in the last `lasting` seconds."""
        update = "UPDATE Cache SET access_time = ? WHERE key = ? AND raw = 1 AND access_time < ?"
        now = time.time()
        with self._transact() as (sql, _):
            for key in keys:
                sql(update, (now, key, now - lasting))

    def rows(self) -> Iterator[Row]:
        """Every row that is ours, least recently used first."""
        select = (
            "SELECT key, CASE WHEN filename IS NULL THEN length(value) ELSE size END, access_time"
            " FROM Cache WHERE raw = 1 AND typeof(key) = 'text' ORDER BY access_time, rowid"
        )
        return map(Row._make, self._sql(select).fetchall())

    def evict_unused(self, rows: Iterable[Row]) -> list[Row]:
        """Deletes these rows and their files, but for those used since. Returns what is gone."""
        delete = "DELETE FROM Cache WHERE key = ? AND raw = 1 AND access_time = ? RETURNING filename"
        gone = []
        with self._transact() as (sql, lose):
            for row in rows:
                for (name,) in sql(delete, (row.key, row.used)).fetchall():
                    lose(name)
                    gone.append(row)
        return gone

    def unlink(self, strays: Iterable[str]) -> None:
        """Deletes the files of these digests unless they have rows by now."""
        with self._transact() as (_, lose):
            for digest in strays:
                lose(filename(digest))

    def is_sound(self) -> bool:
        """Reads the whole database to see."""
        return bool(self._sql("PRAGMA quick_check(1)").fetchone() == ("ok",))

    def close(self) -> None:
        """Closes the connection."""
        connection, self._shared = self._shared, None
        if connection is not None:
            connection.close()

    @property
    def _con(self) -> sqlite3.Connection:
        # diskcache would open one for each thread, and nobody would close it when the thread ends.
        if self._shared is None:
            self._shared = sqlite3.connect(
                Path(self.directory, DBNAME),
                timeout=self.timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            self._set_pragmas(self._shared)
        return self._shared

    def _set_pragmas(self, connection: sqlite3.Connection) -> None:
        try:
            settings = connection.execute("SELECT key, value FROM Settings").fetchall()
        except sqlite3.OperationalError:  # there are no tables yet
            return
        for key, value in settings:
            if key.startswith("sqlite_"):
                self.reset(key, value, update=False)

    @contextmanager
    def _transact(
        self, retry: bool = False, filename: str | None = None
    ) -> Iterator[tuple[Callable[..., sqlite3.Cursor], Callable[[str | None], None]]]:
        # diskcache deletes files after the transaction, when another process may have put the same
        # blob in their place again. Here they go while the index is locked, unless a row wants them.
        connection = self._con
        if connection.in_transaction:
            yield connection.execute, self._lose
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection.execute, self._lose
            self._unlink_lost(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk makes sqlite roll back by itself
                connection.execute("ROLLBACK")
            raise
        finally:
            self._gone.clear()

    def _lose(self, filename: str | None) -> None:
        if filename is not None:
            self._gone.append(filename)

    def _unlink_lost(self, connection: sqlite3.Connection) -> None:
        for name in self._gone:
            key = "sha256:" + os.path.basename(name)
            if connection.execute("SELECT 1 FROM Cache WHERE key = ? AND raw = 1", (key,)).fetchone() is None:
                self.disk.remove(name)
