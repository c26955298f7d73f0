"""Builds that left nothing to do, so that the next one need only see that nothing moved.

When a build ends with everything in place, all that it looked at is written down (`keeping`): each file,
folder and environment variable that decided something. While they all stay as they are, so does the
outcome, and neither the recipe nor the graph needs to be read to know it. What is kept elsewhere must be
there still: a function of the target's own tells, loaded from its file without the plugin around it.
Anything else that was asked from outside this machine makes a build unfit for this.

One file for each request, `.imgbake/settled/<key>`: a crc32 of four bytes, and a dict in Python's own
format, which is read quicker than any other and only by the Python that wrote it (see `key`):

    env                     names to digests
    nodes, lines, report    see `Settled`
    questions               file, function, argument
    signatures              of the paths, four 64-bit numbers each (witness.py)
    paths                   separated by NUL

Beside it stands who looked at what (`unmoved`), for a build that has something to do after all.

Imports nothing heavy: a build with nothing to do is this module, and the time for a start of Python.
`typing`, `pathlib`, `json` and `hashlib` would take twice as long as all that it does.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib

from imgbake import __version__
from imgbake.files import witness

try:
    from _blake2 import blake2b
except ImportError:  # a Python that takes all digests from elsewhere
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Ask = Callable[[Sequence[str]], Sequence[bool]]


class Settled:
    """How the build ended that need not be done again."""

    def __init__(
        self, nodes: int, lines: Sequence[str], report: str, questions: Sequence[Sequence[str]] = ()
    ) -> None:
        self.nodes = nodes
        self.lines = lines  # what it printed as its result
        self.report = report  # the same as JSON
        self.questions = questions  # see `question`


def key(request: object) -> str:
    """What makes two requests the same: their words, our version, and the Python that runs us."""
    return _digest(repr((__version__, sys.version, sys.prefix, request))) or ""


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


def find(
    root: str | os.PathLike[str], name: str, environ: Mapping[str, str], place: str = ""
) -> Settled | None:
    """The settled build of this key, if nothing that it looked at has moved since.

    Relative paths are below `root`. `place` is where it is kept, if not in the state of a project there.
    """
    try:
        found, paths, signatures = read(place or folder(root), name, environ)
        if witness.first_moved(os.fspath(root), paths, signatures) is not None:
            return None
        if not all(answers(found["questions"])):
            return None
        return Settled(found["nodes"], found["lines"], found["report"])
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def read(
    place: str, name: str, environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str], memoryview[int]]:
    """What is kept of a build in the same environment, paths and signatures. Raises ValueError."""
    with open(f"{place}/{name}", "rb") as file:
        data = file.read()
    body = memoryview(data)[4:]
    if zlib.crc32(body).to_bytes(4, "big") != data[:4]:
        raise ValueError("damaged")
    found: dict[str, Any] = marshal.loads(body)
    if any(_digest(environ.get(variable)) != seen for variable, seen in found["env"].items()):
        raise ValueError("another environment")
    return found, os.fsdecode(found["paths"]).split("\0"), memoryview(found["signatures"]).cast("q")


def encoded(settled: Settled, paths: bytes, signatures: bytes, env: Mapping[str, str | None]) -> bytes:
    """What is kept of a build, as `read` reads it."""
    kept = {
        "env": {variable: _digest(value) for variable, value in env.items()},
        "nodes": settled.nodes,
        "lines": list(settled.lines),
        "report": settled.report,
        "questions": [list(each) for each in settled.questions],
        "signatures": signatures,
        "paths": paths,
    }
    body = marshal.dumps(kept)
    return zlib.crc32(body).to_bytes(4, "big") + body


def folder(root: str | os.PathLike[str]) -> str:
    """Where a project's settled builds are kept."""
    return f"{os.fspath(root)}/.imgbake/settled"


def _asked(file: str, function: str, arguments: list[str]) -> Sequence[bool]:
    """The answers of a function, whose module is loaded once for all."""
    name = f"imgbake question {file}"
    module = sys.modules.get(name)
    if module is None:
        from importlib.machinery import SourceFileLoader

        module = sys.modules[name] = type(sys)(name)
        module.__file__ = file
        SourceFileLoader(name, file).exec_module(module)
    found: Sequence[bool] = getattr(module, function)(arguments)
    return found


def _digest(value: str | None) -> str | None:
    if value is None:
        return None
    return blake2b(value.encode("utf-8", "surrogateescape"), digest_size=32).hexdigest()
