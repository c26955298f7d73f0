"""What can go wrong with the store's folder, as errors that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from imgbake.errors import BakeError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, *_NO_FOLDER}


class StoreUnwritable(BakeError):
    """The store's folder can't be written by us."""


class StoreFull(BakeError):
    """There is no room left for the store."""


def is_damage(error: Exception) -> bool:
    """Does sqlite say that the index is not a sound database?"""
    import sqlite3

    return _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def explained(error: Exception, folder: Path) -> BakeError | None:
    """An error of the disk or the index as the user should see it; None for any other."""
    import sqlite3

    import diskcache

    if not isinstance(error, OSError | sqlite3.Error | diskcache.Timeout):
        return None
    code = error.errno if isinstance(error, OSError) else _code(error)
    is_disk = isinstance(error, OSError)
    if code in (_FULL if is_disk else {sqlite3.SQLITE_FULL}):
        hint = "make room, run 'imgbake cache gc', or set IMGBAKE_CACHE_DIR to a folder on another disk"
        return StoreFull(f"no room left for the store in {folder}", hint=hint)
    if code in (
        _CLOSED if is_disk else {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
    ):
        hint = "set IMGBAKE_CACHE_DIR to a folder that you may write"
        return StoreUnwritable(f"the store in {folder} can't be written: {_reason(error)}", hint=hint)
    if isinstance(error, diskcache.Timeout) or (not is_disk and code == sqlite3.SQLITE_BUSY):
        hint = "another imgbake holds it; end that one, or set IMGBAKE_CACHE_DIR to another folder"
        return BakeError(f"the store in {folder} stayed locked for a minute", hint=hint)
    hint = "the store may be deleted at any time; 'imgbake cache clear' does that"
    return BakeError(f"the store in {folder} failed: {_reason(error)}", hint=hint)


def _code(error: Exception) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF  # the rest of it is detail


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _NO_FOLDER:
        return "there is a file where a folder should be"
    return (isinstance(error, OSError) and error.strerror) or str(error)
