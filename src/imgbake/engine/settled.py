"""Builds that left nothing to do, so that the next one need only see that nothing moved.

When a build ends with everything in place, all that it looked at is written down: each file, folder
and environment variable that decided something. While they all stay as they are, so does the
outcome, and neither the recipe nor the graph needs to be read to know it. What is kept elsewhere must be
there still: a function of the target's own tells, loaded from its file without the plugin around it.
Anything else that was asked from outside this machine makes a build unfit for this.

One file for each request, `.imgbake/settled/<key>`:

    a line of JSON: env (name to digest), count of paths, length of what follows, crc32, and the
                    report's lines and JSON, and questions (file, function, argument)
    signatures of the paths, four 64-bit numbers each (witness.py)
    the paths, separated by NUL

Beside it stands who looked at what (`unmoved`), for a build that has something to do after all.

Imports nothing heavy: a build with nothing to do is this module, and the time for a start of Python.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import sys
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imgbake import __version__
from imgbake.files import witness
from imgbake.files.witness import Signature

NODES = ".nodes"
_KEPT = 16  # requests that are remembered for one project

Ask = Callable[[Sequence[str]], Sequence[bool]]


class Settled(NamedTuple):
    """How the build ended that need not be done again."""

    nodes: int
    lines: list[str]  # what it printed as its result
    report: str  # the same as JSON
    questions: Sequence[Sequence[str]] = ()  # see `question`


class Since(NamedTuple):
    """What became of all that a settled build looked at."""

    paths: Sequence[str] = ()
    signatures: Sequence[int] = ()  # four numbers for each path, as they were
    moved: frozenset[int] = frozenset()  # places in `paths`
    env: Sequence[str] = ()  # variables, which are what they were
    sight: int = 0  # stands for paths and signatures

    def signature(self, place: int) -> Signature:
        """What a path looked like."""
        modified, changed, size, inode = self.signatures[4 * place : 4 * place + 4]
        return modified, changed, size, inode


def key(request: object) -> str:
    """What makes two requests the same: their words, our version, and the Python that runs us."""
    words = json.dumps([__version__, sys.version, sys.prefix, request], sort_keys=True, default=str)
    return hashlib.sha256(words.encode()).hexdigest()


def question(ask: Ask, argument: str) -> list[str]:
    """A question to a function at the top of a module: is what the argument names still there?"""
    return [ask.__code__.co_filename, ask.__name__, argument]


def answers(questions: Sequence[Sequence[str]]) -> list[bool]:
    """The answers to questions. Each function is asked once, with all of its arguments."""
    asked: dict[tuple[str, str], dict[str, bool]] = {}
    for file, function, argument in questions:
        asked.setdefault((file, function), {})[argument] = False
    for (file, function), known in asked.items():
        known.update(zip(known, _asked(file, function, list(known)), strict=True))
    return [asked[file, function][argument] for file, function, argument in questions]


def find(root: Path, name: str, environ: Mapping[str, str], place: Path | None = None) -> Settled | None:
    """The settled build of this key, if nothing that it looked at has moved since.

    Relative paths are below `root`. `place` is where it is kept, if not in the state of a project there.
    """
    try:
        header, paths, signatures = _read(place or folder(root), name, environ)
        if witness.first_moved(str(root), paths, signatures) is not None:
            return None
        if not all(answers(header["questions"])):
            return None
        return Settled(header["nodes"], header["lines"], header["report"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def since(root: Path, name: str, environ: Mapping[str, str]) -> Since | None:
    """What moved since the settled build of this key; None when more than files may have changed."""
    try:
        header, paths, signatures = _read(folder(root), name, environ)
        moved = frozenset(witness.all_moved(str(root), paths, signatures))
        return Since(paths, signatures, moved, list(header["env"]), header["crc"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(
    place: Path, name: str, settled: Settled, seen: Mapping[str, Signature], env: Mapping[str, str | None]
) -> int:
    """Writes a build down in a folder. A file that may still be changing (UNSETTLED) counts as moved.

    Returns the number that stands for all that was looked at.
    """
    if not seen:
        return 0
    body = witness.pack(seen.values()).tobytes() + os.fsencode("\0".join(seen))
    header: dict[str, Any] = {
        "env": {variable: _digest(value) for variable, value in env.items()},
        "count": len(seen),
        "length": len(body),
        "crc": zlib.crc32(body),
        **settled._asdict(),
    }
    with contextlib.suppress(OSError):  # a memory, not a result
        place.mkdir(parents=True, exist_ok=True)
        beside = place / f"{name}.{os.getpid()}"
        beside.write_bytes(json.dumps(header).encode() + b"\n" + body)
        beside.replace(place / name)
        _drop_old(place)
    return int(header["crc"])


def folder(root: Path) -> Path:
    """Where a project's settled builds are kept."""
    return root / ".imgbake" / "settled"


def _read(place: Path, name: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str], array[int]]:
    """The header, paths and signatures of a settled build in the same environment. Raises ValueError."""
    data = (place / name).read_bytes()
    head, _, body = data.partition(b"\n")
    header: dict[str, Any] = json.loads(head)
    if len(body) != header["length"] or zlib.crc32(body) != header["crc"]:
        raise ValueError("damaged")
    if any(_digest(environ.get(variable)) != seen for variable, seen in header["env"].items()):
        raise ValueError("another environment")
    signatures = array("q", body[: header["count"] * 32])
    return header, os.fsdecode(body[header["count"] * 32 :]).split("\0"), signatures


def _asked(file: str, function: str, arguments: list[str]) -> Sequence[bool]:
    """The answers of a function, whose module is loaded once for all."""
    name = f"imgbake question {file}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            return [False] * len(arguments)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    found: Sequence[bool] = getattr(module, function)(arguments)
    return found


def _drop_old(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.suffix != NODES]
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        path.unlink(missing_ok=True)
        path.with_name(path.name + NODES).unlink(missing_ok=True)


def _digest(value: str | None) -> str | None:
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
