"""The store's index as the threads of one process share it: opened late, locked, mended, batched."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imgbake.errors import BakeError
from imgbake.store.faults import explained, is_damage
from imgbake.store.scratch import Scratch

if TYPE_CHECKING:
    from imgbake.store.disk import Index

T = TypeVar("T")

_MOST = 500  # writes that are gathered before they are written in one transaction
_LONGEST = 0.3  # seconds for which the first of them waits
_NOTE_AFTER = 5.0  # seconds for which the note that something was used may wait
_NOTED = 600.0  # seconds for which it needs no other one


class SharedIndex:
    """Gives one thread at a time the index, opening it at the first use.

    What reads or writes the index is a function of it: `do` and `read` run one, `write` may gather it.
    """

    def __init__(
        self, folder: Path, size_limit: int, warn: Callable[[str], None], *, is_gathering: bool
    ) -> None:
        self._folder = folder
        self._size_limit = size_limit
        self._warn = warn
        self._lock = threading.RLock()
        self._adding = threading.Lock()  # held for a moment: nobody waits for a transaction to gather more
        self._index: Index | None = None
        self._scratch: Scratch | None = None
        self._pid = os.getpid()
        self._is_suspect = False  # has the index shown damage?
        self._used: set[str] = set()
        self._noted = time.monotonic()
        self._is_gathering = is_gathering
        self._gathered: list[Callable[[Index], object]] = []
        self._keys: set[str] = set()  # of the rows that they write
        self._since = 0.0  # time.monotonic() when the first of them was gathered

    @property
    def is_open(self) -> bool:
        """Has it been used?"""
        return self._index is not None

    def do(self, work: Callable[[Index], T]) -> T:
        """Runs `work` with the index, after what is gathered.

        A damaged index is made again and asked once more. Raises BakeError for what sqlite or the
        disk refuse.
        """
        with self._lock:
            self.flush()
            return self._do(work)

    def read(self, key: str, work: Callable[[Index], T | None]) -> T | None:
        """Runs `work`, which reads no row but this one: what is gathered for others may wait.

        Nothing is in a store that isn't there, and looking for it doesn't make one.
        """
        with self._lock:
            self.settle(key)
            return self._do(work) if self._is_open_or_there() else None

    def write(self, key: str, work: Callable[[Index], object]) -> None:
        """Runs `work`, which writes this row: now, or with others when writes are gathered."""
        if not self._is_gathering:
            self._do(work)
            return
        with self._adding:
            if not self._gathered:
                self._since = time.monotonic()
            self._gathered.append(work)
            self._keys.add(key)
            is_due = len(self._gathered) >= _MOST or time.monotonic() - self._since > _LONGEST
        if is_due:
            self.flush()

    def settle(self, key: str) -> None:
        """Writes what is gathered if this row is part of it."""
        with self._lock:  # whoever writes it just now has taken it off the list
            if key in self._keys:
                self.flush()

    def flush(self) -> None:
        """Writes what is gathered, in one transaction."""
        with self._lock:
            if self._pid != os.getpid():
                self._after_fork()
            with self._adding:
                gathered, self._gathered, self._keys = self._gathered, [], set()
            if gathered:
                self._do(lambda index: _all(index, gathered))

    def used(self, key: str) -> None:
        """Notes that this key was used, which keeps it from being evicted; written down in a while."""
        self._used.add(key)

    def note_used(self) -> None:
        """Writes down what was used."""
        self.do(self._note_used)

    def forget_used(self) -> None:
        """Drops what was noted."""
        self._used.clear()

    def scratch(self) -> Scratch:
        """The folder of this process. Made anew, with all else, when the store was deleted under us."""
        found = self._scratch
        if found is not None and self._pid == os.getpid() and found.folder.exists():
            return found
        with self._lock:
            if self._scratch is not None and not self._scratch.folder.exists():
                self.close()
            self._do(lambda index: None)
            assert self._scratch is not None
            return self._scratch

    def in_use_since(self) -> float:
        """The time from which on a process that still runs may count on what was used."""
        return self.scratch().others_since() - _NOTED - _NOTE_AFTER

    def close(self) -> None:
        """Closes the index, and removes this process's folder."""
        with self._lock:
            index, self._index = self._index, None
            scratch, self._scratch = self._scratch, None
            if index is not None:
                index.close()
            if scratch is not None:
                scratch.close()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turns what sqlite or the disk refuse into a BakeError."""
        try:
            yield
        except (BakeError, KeyError):
            raise
        except Exception as error:
            told = explained(error, self._folder)
            if told is None:
                raise
            raise told from error

    def _is_open_or_there(self) -> bool:
        if self._index is not None:
            return True
        from diskcache.core import DBNAME  # takes as long to import as all of us

        return os.path.exists(self._folder / str(DBNAME))

    def _do(self, work: Callable[[Index], T]) -> T:
        with self._lock, self.explaining():
            try:
                return work(self._opened())
            except Exception as error:
                if not is_damage(error):
                    raise
                self.close()
                self._is_suspect = True
            return work(self._opened())

    def _opened(self) -> Index:
        if self._pid != os.getpid():
            self._after_fork()
        if self._index is None:
            from imgbake.store.opening import open_index

            self._index = open_index(self._folder, self._size_limit, self._warn, check=self._is_suspect)
            self._is_suspect = False
            self._scratch = Scratch(self._folder / "tmp")
        elif self._used and time.monotonic() - self._noted > _NOTE_AFTER:
            self._note_used(self._index)
        return self._index

    def _note_used(self, index: Index) -> None:
        used, self._used = self._used, set()
        if used:
            index.touch_all(list(used), _NOTED)
        self._noted = time.monotonic()

    def _after_fork(self) -> None:
        """Leaves what belongs to the process that we were forked from."""
        if self._scratch is not None:
            self._scratch.abandon()
        if self._index is not None:
            self._index.close()
        self._index = self._scratch = None
        self._gathered, self._keys = [], set()
        self._adding = threading.Lock()
        self._pid = os.getpid()


def _all(index: Index, works: list[Callable[[Index], object]]) -> None:
    with index.transact():
        for work in works:
            work(index)
