"""Work on files whose owners we can't be: extracting a layer, capturing one, removing a folder.

Root does it in this process. For everybody else it is a program of its own, which runs as root of a user
namespace (`Identity.command`); the chore is its argument and the result its standard output, as JSON in
ASCII, so that names of any bytes get through.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from imgbake.api import BakeError, Completed, RunContext, StepError
from imgbake_sandbox import removal
from imgbake_sandbox.capture import NEVER_CAPTURED, changes
from imgbake_sandbox.extraction import Extracted, extract
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.lowers import Lowers
from imgbake_sandbox.settling import settle
from imgbake_sandbox.tars import Added, Damaged, Format, Packed
from imgbake_sandbox.writing import added, write

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_SHOWN = 100  # characters of a path

Result = TypeVar("Result")
Done = TypeVar("Done", covariant=True)


class Captured(msgspec.Struct, frozen=True):
    """A layer that was written: its digests and sizes, and what it says of folders to those above.

    The upper folder is now what extracting the layer would have given, see `Rootfs.adopt`.
    """

    packed: Packed
    added: Added
    extracted: Extracted  # without members when nothing changed
    devices: tuple[str, ...]  # what was left out, relative to the image's root


class Chores:
    """Does them as root of a sandbox's users. All raise BakeError."""

    def __init__(self, identity: Identity, ctx: RunContext | None = None) -> None:
        """With the context of a step they end with it, and those in this process show how far they are."""
        self.identity = identity
        self._ctx = ctx

    def check(self) -> None:
        """Raises what ends the step, if it must end."""
        if self._ctx:
            self._ctx.check()

    def extract(self, layer: Path, folder: Path) -> Extracted:
        """Extracts a layer into an empty folder. Raises Damaged too."""
        return self._do(_Extract(str(layer), str(folder)), Extracted)

    def capture(
        self,
        upper: Path,
        lowers: Sequence[Path],
        layer: Path,
        format: Format,
        epoch: int,
        left_out: Sequence[str] = NEVER_CAPTURED,
    ) -> Captured:
        """Writes what changed in an upper folder on layers, the bottom one first, to a new file.

        Nothing at the paths of `left_out` and below is captured.
        """
        below = tuple(map(str, lowers))
        chore = _Capture(str(upper), below, tuple(left_out), str(layer), format, epoch)
        return self._do(chore, Captured)

    def remove(self, *paths: Path) -> None:
        """Removes files, and folders with all that is in them. Those that aren't there are no error."""
        self._do(_Remove(tuple(map(str, paths))), _Removed)

    def _do(self, chore: _Chore[Result], result: type[Result]) -> Result:
        if self.identity.kind == "root":
            return _done(chore, self._ctx or _Nobody())
        command = [sys.executable, "-P", "-m", "imgbake_sandbox.chores", _encoded(chore)]
        ended = self._run(self.identity.command(command))
        if ended.code:
            message = f"a program in a user namespace failed with exit code {ended.code}"
            raise StepError(message, hint="the lines above say why")
        answer = msgspec.convert(json.loads(ended.stdout), _Answer)
        if answer.failure:
            raise answer.failure.error()
        return msgspec.convert(answer.result, result)

    def _run(self, command: list[str]) -> Completed:
        if self._ctx:
            return self._ctx.run(command, capture=True, check=False)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True, check=False
        )
        return Completed(done.returncode, done.stdout.decode("ascii", "replace"))


def main() -> None:
    """Does the chore in the argument."""
    chore: _Chore[object] = msgspec.convert(json.loads(sys.argv[1]), _Extract | _Capture | _Remove)
    try:
        answer = _Answer(result=_done(chore, _Nobody()))
    except Damaged as error:
        answer = _Answer(_Failure(str(error), is_damage=True))
    except BakeError as error:
        answer = _Answer(_Failure(error.message, error.hint))
    sys.stdout.write(_encoded(answer))


class _Watcher(Protocol):
    """Who wants to know how far it is, and may end it: the part of a step's context that is needed."""

    def check(self) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


class _Nobody:
    def check(self) -> None:
        """Goes on."""

    def progress(self, done: int, total: int) -> None:
        """Tells nobody."""


class _Chore(Protocol[Done]):
    def do(self, watcher: _Watcher) -> Done: ...


class _Extract(msgspec.Struct, frozen=True, tag="extract"):
    layer: str
    folder: str

    def do(self, watcher: _Watcher) -> Extracted:
        with _opened(self.folder) as folder, Path(self.layer).open("rb") as layer:
            return extract(layer, folder, watcher.check)


class _Capture(msgspec.Struct, frozen=True, tag="capture"):
    upper: str
    lowers: tuple[str, ...]
    left_out: tuple[str, ...]
    layer: str
    format: Format
    epoch: int

    def do(self, watcher: _Watcher) -> Captured:
        def each(done: int, total: int) -> None:
            watcher.check()
            watcher.progress(done, total)

        with _opened(self.upper) as upper:
            with contextlib.closing(Lowers([Path(lower) for lower in self.lowers])) as lowers:
                found = changes(upper, lowers, self.left_out)
            packed = write(found, upper, Path(self.layer), self.format, self.epoch, each)
            return Captured(packed, added(found), settle(found, upper, self.epoch), found.devices)


class _Removed(msgspec.Struct, frozen=True):
    """Nothing is left to say."""


class _Remove(msgspec.Struct, frozen=True, tag="remove"):
    paths: tuple[str, ...]

    def do(self, watcher: _Watcher) -> _Removed:
        for path in self.paths:
            removal.remove_path(Path(path))
        return _Removed()


class _Failure(msgspec.Struct, frozen=True):
    message: str
    hint: str = ""
    is_damage: bool = False

    def error(self) -> Exception:
        return Damaged(self.message) if self.is_damage else StepError(self.message, hint=self.hint)


class _Answer(msgspec.Struct, frozen=True):
    failure: _Failure | None = None
    result: object = None


def _done(chore: _Chore[Result], watcher: _Watcher) -> Result:
    try:
        return chore.do(watcher)
    except OSError as error:
        hint = "`imgbake cache gc` makes room" if error.errno == errno.ENOSPC else ""
        where = f": '{str(error.filename)[-_SHOWN:]}'" if error.filename else ""
        message = f"the sandbox's files can't be handled: {error.strerror}{where}"
        raise StepError(message, hint=hint) from error


def _encoded(value: object) -> str:
    return json.dumps(msgspec.to_builtins(value))


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    opened = os.open(folder, _OPEN_FOLDER)
    try:
        yield opened
    finally:
        os.close(opened)


if __name__ == "__main__":
    main()
