"""Writes settled builds down; see `settled`, which reads them and has no time to import as much."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from imgbake.engine import settled
from imgbake.engine.settled import Settled
from imgbake.files import witness
from imgbake.files.witness import Signature

NODES = ".nodes"
_KEPT = 16  # requests that are remembered for one project


def keep(
    place: str, name: str, build: Settled, seen: Mapping[str, Signature], env: Mapping[str, str | None]
) -> int:
    """Writes a build down in a folder. A file that may still be changing (UNSETTLED) counts as moved.

    Returns the number that stands for all that was looked at, 0 when that is nothing.
    """
    if not seen:
        return 0
    paths, signatures = os.fsencode("\0".join(seen)), witness.pack(seen.values()).tobytes()
    path = Path(place, name)
    with contextlib.suppress(OSError):  # a memory, not a result
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{name}.{os.getpid()}")
        beside.write_bytes(settled.encoded(build, paths, signatures, env))
        beside.replace(path)
        _drop_old(path.parent)
    return sight(paths, signatures)


def sight(paths: bytes, signatures: bytes) -> int:
    """The number that stands for paths, and what they looked like. Never 0."""
    return zlib.crc32(signatures, zlib.crc32(paths)) or 1


def _drop_old(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.suffix != NODES]
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)
        path.with_name(path.name + NODES).unlink(missing_ok=True)
