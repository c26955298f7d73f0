"""Blobs that are being downloaded: each is written to a file once, and sent from there meanwhile.

Whoever sends a blob reads the part of the file that has come, and waits for more. So a blob goes through
at the pace of the source to those who keep up, the others read on behind, and memory holds none of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imgbake.api import BakeError, Interrupted
from imgbake_oci.registry import FilePart, Watch

_AT_ONCE = 6
_TICK = 0.25  # seconds between two looks at whether the build still goes on

Download = Callable[[Path, Watch], None]
Check = Callable[[], None]


class Spool:
    """One blob, as far as it has come."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._changed = threading.Condition()
        self._done = 0
        self._has_started = False
        self._error: BakeError | None = None

    @property
    def has_failed(self) -> bool:
        """Did its download end without it?"""
        return self._error is not None

    def part(self, check: Check) -> FilePart:
        """The blob to be sent, once its download has begun. Raises BakeError."""
        self._wait(lambda: self._has_started, check)
        return FilePart(self._path, 0, self._size, self._grown)

    def download(self, download: Download, check: Check) -> None:
        """Downloads it; whatever goes wrong is for those who wait for it."""
        try:
            download(self._path, Watch(check, self._progress))
            self._progress(self._size, self._size)
        except BakeError as error:
            with self._changed:
                self._error, self._has_started = error, True
                self._changed.notify_all()

    def _progress(self, done: int, total: int) -> None:
        with self._changed:
            self._done, self._has_started = done, True
            self._changed.notify_all()

    def _grown(self, place: int, check: Check) -> int:
        self._wait(lambda: self._done > place, check)
        return self._done

    def _wait(self, is_so: Callable[[], bool], check: Check) -> None:
        with self._changed:
            while not is_so():
                if self._error is not None:
                    raise BakeError(self._error.message, hint=self._error.hint)
                check()
                self._changed.wait(_TICK)


class Spools:
    """The blobs of one run. Safe from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spools: dict[str, Spool] = {}
        self._folder: Path | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._has_ended = threading.Event()

    def spool(self, digest: str, size: int, download: Download, scratch: Path) -> Spool:
        """The spool of a blob. The first to ask has it downloaded, and so has the next after a failure."""
        with self._lock:
            found = self._spools.get(digest)
            if found is None or found.has_failed:
                found = self._spools[digest] = Spool(self._place(digest, scratch), size)
                self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE)
                self._pool.submit(found.download, download, self._check)
            return found

    def close(self) -> None:
        """Ends downloads and removes the files."""
        self._has_ended.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._folder is not None:
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def _place(self, digest: str, scratch: Path) -> Path:
        if self._folder is None:
            self._folder = scratch / f"spool-{id(self)}"
            self._folder.mkdir(exist_ok=True)
        return self._folder / digest.replace(":", "-")

    def _check(self) -> None:
        if self._has_ended.is_set():
            raise Interrupted
