"""What can go wrong with the store's folder, as errors that say what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import diskcache

from imgbake.errors import BakeError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_SQLITE_CLOSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreUnwritable(BakeError):
    """The store's folder can't be written by us."""


class StoreFull(BakeError):
    """There is no room left for the store."""


def is_damage(error: Exception) -> bool:
    """Does sqlite say that the index is not a sound database?"""
    return isinstance(error, sqlite3.Error) and _code(error) in _SQLITE_DAMAGED


def is_ours(error: Exception) -> bool:
    """Is this an error of the disk or the index, and not a bug?"""
    return isinstance(error, OSError | sqlite3.Error | diskcache.Timeout)


def explained(error: Exception, folder: Path) -> BakeError:
    """An OSError, or an error of sqlite or diskcache, as the user should see it."""
    if isinstance(error, OSError):
        full, closed = error.errno in _FULL, error.errno in _CLOSED
    else:
        full, closed = _code(error) == sqlite3.SQLITE_FULL, _code(error) in _SQLITE_CLOSED
    if full:
        hint = "make room, run 'imgbake cache gc', or set IMGBAKE_CACHE_DIR to a folder on another disk"
        return StoreFull(f"no room left for the store in {folder}", hint=hint)
    if closed:
        hint = "set IMGBAKE_CACHE_DIR to a folder that you may write"
        return StoreUnwritable(f"the store in {folder} can't be written: {_reason(error)}", hint=hint)
    if isinstance(error, diskcache.Timeout) or _code(error) == sqlite3.SQLITE_BUSY:
        hint = "another imgbake holds it; end that one, or set IMGBAKE_CACHE_DIR to another folder"
        return BakeError(f"the store in {folder} stayed locked for a minute", hint=hint)
    hint = "the store may be deleted at any time; 'imgbake cache clear' does that"
    return BakeError(f"the store in {folder} failed: {_reason(error)}", hint=hint)


def _code(error: Exception) -> int:
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF  # the rest is detail


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
