"""The layers of images as folders, extracted once and shared by all builds.

    rootfs/<hex>[-<users>]          a layer; the file names its digest, `users` the map of ids if it has one
    rootfs/<hex>[-<users>].lock     locked (flock) by who makes or removes it, shared by who uses it;
                                    says what was extracted, and by its modification time when it was used
    rootfs/<hex>[-<users>].part     a layer that is being made or removed

A folder is made beside and renamed, and never modified after. What a process leaves that was killed has
no lock, and is removed by the next one that makes or removes something. What was not on the disk yet when
the machine went down is made again: a layer counts for good once it was used some minutes after it was
made, when the kernel has long written it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from imgbake.api import StepError
from imgbake_sandbox.chores import Chores
from imgbake_sandbox.extraction import Extracted
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.locks import locked
from imgbake_sandbox.tars import Damaged

_FOLDER = "rootfs"
_LOCK = ".lock"
_PART = ".part"
_AT_ONCE = 2  # layers that are extracted at the same time
_LOOK_AGAIN = 0.05  # seconds
_WRITTEN_AFTER = 120  # seconds; the kernel writes what is 30 seconds old (dirty_expire_centisecs)
_EVERY_ID = "0 0 4294967295"


class Layer(NamedTuple):
    """An extracted layer. `size` is in bytes, `used` in seconds since 1970."""

    name: str
    size: int
    used: float


class Freed(NamedTuple):
    """How many layers were removed, and how many bytes they held."""

    number: int = 0
    size: int = 0


class Rootfs:
    """The extracted layers in the folder of a store. All raise BakeError."""

    def __init__(self, store: Path, chores: Chores) -> None:
        self._folder = store / _FOLDER
        self._chores = chores
        self._cleaning = Chores(chores.identity)  # goes on when the step has to end
        self._users = _users(chores.identity)

    @contextlib.contextmanager
    def held(self, layers: Sequence[str], blob: Callable[[str], Path]) -> Iterator[tuple[Path, ...]]:
        """The folders of these layers (digests, the bottom one first), which stay as long as the block runs.

        `blob` gives the file of a layer that must be extracted. Layers of which nothing is seen are left
        out.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            found = self._all(_last_of_each(layers), blob, stack)
            hiding = [number for number, each in enumerate(found) if each.extracted.hides_all]
            yield tuple(each.folder for each in found[hiding[-1] if hiding else 0 :])

    def adopt(self, layer: str, folder: Path, extracted: Extracted) -> None:
        """Takes over a folder that is what extracting this layer (a digest) would give.

        It must lie on the file system of the store. Nothing is done with it where the layer is in use
        already, or being made.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._name(layer)
        lock = locked(self._lock_path(name), fcntl.LOCK_EX)
        if lock is None:
            return
        try:
            if not self._whole(name, lock):
                self._set_aside(self._folder / name, self._part_path(name))
                self._finish(name, folder, extracted, lock)
        finally:
            os.close(lock)

    def layers(self) -> list[Layer]:
        """What is there, for all maps of ids, least recently used first."""
        found = []
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                with self._lock_path(name).open("rb") as file:
                    note, used = _read(file.fileno()), os.fstat(file.fileno()).st_mtime
                found.append(Layer(name, note.extracted.size if note else 0, used))
        return sorted(found, key=lambda layer: layer.used)

    def make_room(self, limit: int, unused_since: float = 0) -> Freed:
        """Removes layers last used before `unused_since` (seconds since 1970), then the least recently used
        until those that are left hold no more than `limit` bytes; and what processes left that were killed.

        Layers in use stay.
        """
        self._sweep()
        layers = self.layers()
        over = sum(layer.size for layer in layers) - limit
        freed = Freed()
        for layer in layers:
            if (over > 0 or layer.used < unused_since) and self._remove_unused(layer.name):
                over -= layer.size
                freed = Freed(freed.number + 1, freed.size + layer.size)
        return freed

    def _all(
        self, layers: Sequence[str], blob: Callable[[str], Path], stack: contextlib.ExitStack
    ) -> list[_Held]:
        """Every layer, locked until the stack is closed."""
        there = [self._use(self._name(layer)) for layer in layers]
        for held in filter(None, there):
            stack.callback(os.close, held.lock)
        if all(there):
            return [held for held in there if held]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = [
                held or pool.submit(self._hold, layer, blob)
                for layer, held in zip(layers, there, strict=True)
            ]
        made = [each for each in waiting if isinstance(each, Future)]
        for done in made:
            if not done.exception():
                stack.callback(os.close, done.result().lock)
        return [each.result() if isinstance(each, Future) else each for each in waiting]

    def _hold(self, layer: str, blob: Callable[[str], Path]) -> _Held:
        name = self._name(layer)
        while True:
            self._chores.check()
            if held := self._use(name):
                return held
            lock = locked(self._lock_path(name), fcntl.LOCK_EX)
            if lock is not None:
                try:
                    self._make(name, layer, blob, lock)
                finally:
                    os.close(lock)
            else:
                time.sleep(_LOOK_AGAIN)

    def _use(self, name: str) -> _Held | None:
        """A layer that is there and whole, locked. None if it isn't, or is being made or removed."""
        folder = self._folder / name
        lock = locked(self._lock_path(name), fcntl.LOCK_SH) if folder.is_dir() else None
        if lock is None:
            return None
        try:
            note = self._whole(name, lock)
            if note and note.boot and note.is_written:
                _write(lock, msgspec.structs.replace(note, boot=""))
            os.utime(lock)
        except BaseException:
            os.close(lock)
            raise
        if note:
            return _Held(lock, folder, note.extracted)
        os.close(lock)
        return None

    def _whole(self, name: str, lock: int) -> _Note | None:
        """What is noted of a layer, which is locked, if it is there and nothing of it can have been lost."""
        note = _read(lock)
        return note if note and note.is_whole and (self._folder / name).is_dir() else None

    def _make(self, name: str, layer: str, blob: Callable[[str], Path], lock: int) -> None:
        """Extracts a layer that nobody else can be at, unless it is whole after all."""
        if self._whole(name, lock):
            return
        part = self._part_path(name)
        self._sweep()
        self._set_aside(self._folder / name, part)
        part.mkdir(mode=0o700)
        try:
            self._finish(name, part, self._chores.extract(blob(layer), part), lock)
        except BaseException as error:
            self._cleaning.remove(part)
            if isinstance(error, Damaged):
                hint = "make or pull the image again"
                raise StepError(f"the layer {layer} can't be extracted: {error}", hint=hint) from None
            raise

    def _finish(self, name: str, folder: Path, extracted: Extracted, lock: int) -> None:
        _write(lock, _Note(extracted, _boot(), time.clock_gettime(time.CLOCK_BOOTTIME)))
        folder.rename(self._folder / name)

    def _remove_unused(self, name: str) -> bool:
        lock = locked(self._lock_path(name), fcntl.LOCK_EX)
        if lock is None:
            return False
        try:
            self._set_aside(self._folder / name, self._part_path(name))
            self._lock_path(name).unlink(missing_ok=True)
        finally:
            os.close(lock)
        return True

    def _sweep(self) -> None:
        """Removes what was being made or removed by processes that are no more."""
        for part in list(self._folder.glob(f"*{_PART}")):
            name = part.name.removesuffix(_PART)
            lock = locked(self._lock_path(name), fcntl.LOCK_EX)
            if lock is not None:
                try:
                    self._cleaning.remove(part)
                    if not (self._folder / name).exists():
                        self._lock_path(name).unlink(missing_ok=True)
                finally:
                    os.close(lock)

    def _set_aside(self, folder: Path, part: Path) -> None:
        """Removes a folder so that it is never seen half removed."""
        self._cleaning.remove(part)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(part)
            self._cleaning.remove(part)

    def _name(self, layer: str) -> str:
        return layer.removeprefix("sha256:") + self._users

    def _names(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in self._folder.iterdir() if not path.suffix]
        return []

    def _lock_path(self, name: str) -> Path:
        return self._folder / (name + _LOCK)

    def _part_path(self, name: str) -> Path:
        return self._folder / (name + _PART)


class _Held(NamedTuple):
    lock: int
    folder: Path
    extracted: Extracted


class _Note(msgspec.Struct, frozen=True):
    """What a lock file says of its layer."""

    extracted: Extracted
    boot: str  # since which it was made; empty when it is on the disk for certain
    made: float  # seconds since then

    @property
    def is_whole(self) -> bool:
        """Can nothing of it have been lost?"""
        return self.boot in ("", _boot())

    @property
    def is_written(self) -> bool:
        """Is it on the disk by now?"""
        return time.clock_gettime(time.CLOCK_BOOTTIME) > self.made + _WRITTEN_AFTER


def _last_of_each(layers: Sequence[str]) -> list[str]:
    """Without those that come again further up, and show there all that they hold."""
    return list(dict.fromkeys(reversed(layers)))[::-1]


def _read(lock: int) -> _Note | None:
    try:
        return msgspec.json.decode(os.pread(lock, 4096, 0), type=_Note)
    except msgspec.MsgspecError:  # new, or being written
        return None


def _write(lock: int, note: _Note) -> None:
    data = msgspec.json.encode(note)
    os.pwrite(lock, data, 0)
    os.ftruncate(lock, len(data))


@cache
def _boot() -> str:
    """What tells this run of the machine from others; empty where nobody says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _users(identity: Identity) -> str:
    """A name for the map of ids; nothing if every id is itself."""
    ours = [Path(f"/proc/self/{name}_map").read_text("ascii").split() for name in ("uid", "gid")]
    if identity.kind == "root" and ours == [_EVERY_ID.split()] * 2:
        return ""
    said = f"{identity.uids} {identity.gids} in {ours}"
    return "-" + hashlib.sha256(said.encode()).hexdigest()[:12]
