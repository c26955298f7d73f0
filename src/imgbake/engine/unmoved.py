"""Which nodes need not be judged, because nothing moved that they looked at.

A settled build (`settled`) also writes down who looked at what. The next build knows from it which paths
moved since, and whom they concern. The other nodes are what they were, as long as the ledger has them as
they were then, and what they keep elsewhere is still there; whether those before them are the same too
is seen when they are reached. A path that moved and that no node looked at, such as the recipe's or a
plugin's, means that every node is judged.

One file for each request beside the settled build, `.imgbake/settled/<key>.nodes`:

    crc32 of the rest (4 bytes, little endian), then msgpack of `_Traces`
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from imgbake.engine import keeping, settled
from imgbake.engine.ledger import Ledger, Record
from imgbake.files import witness
from imgbake.files.witness import Signature

_CRC = struct.Struct("<I")


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


class Trace(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a node was in a settled build, and what it looked at."""

    fingerprint: str
    digest: str  # of its artifact
    paths: bytes = b""  # places in the settled build's list of paths, 32 bits each
    question: tuple[str, ...] = ()  # see `settled.question`

    @property
    def places(self) -> array[int]:
        """Where its paths stand in the list of all paths."""
        return array("I", self.paths)

    def is_of(self, record: Record | None) -> bool:
        """Is the node's last run the one that is meant?"""
        return record is not None and record.fingerprint == self.fingerprint and record.digest == self.digest


class _Traces(msgspec.Struct, array_like=True):
    sight: int  # of the settled build that they belong to
    nodes: dict[str, Trace]


class Unmoved(msgspec.Struct, frozen=True):
    """What is known of nodes before any is judged."""

    nodes: frozenset[str] = frozenset()  # that nothing concerns which moved
    traces: dict[str, Trace] = {}  # of every node of the settled build
    since: Since = Since()

    def seen(self) -> dict[str, Signature]:
        """What these nodes looked at, which looks the same now."""
        places = {place for name in self.nodes for place in self.traces[name].places}
        return {self.since.paths[place]: self.since.signature(place) for place in sorted(places)}

    def looked(self, node: str) -> list[str]:
        """The paths that one of the nodes looked at."""
        return [self.since.paths[place] for place in self.traces[node].places]

    def questions(self) -> dict[str, list[str]]:
        """What these nodes keep elsewhere."""
        return {name: list(asked) for name in self.nodes if (asked := self.traces[name].question)}


UNKNOWN = Unmoved()


def find(root: Path, key: str, environ: Mapping[str, str], ledger: Ledger, names: Sequence[str]) -> Unmoved:
    """Those of the nodes that nothing concerns which moved since the settled build of this key."""
    since = _since(root, key, environ)
    traces = None if since is None else _read(root, key, since)
    if since is None or traces is None:
        return UNKNOWN
    reached = {name: since.moved.intersection(trace.places) for name, trace in traces.items()}
    if not since.moved.issubset(place for places in reached.values() for place in places):
        return UNKNOWN
    same = [
        name
        for name in names
        if name in traces and not reached[name] and traces[name].is_of(ledger.last(name))
    ]
    asked = [traces[name].question for name in same]
    answers = iter(settled.answers([question for question in asked if question]))
    found = [name for name, question in zip(same, asked, strict=True) if not question or next(answers)]
    return Unmoved(frozenset(found), traces, since)


def keep(
    root: Path,
    key: str,
    ledger: Ledger,
    sight: int,
    places: Mapping[str, int],
    looked: Mapping[str, Iterable[str]],
    questions: Mapping[str, Sequence[str] | None],
) -> None:
    """Writes down what each node of a settled build looked at. `places` are those of its paths."""
    nodes = {}
    for name, paths in looked.items():
        if (last := ledger.last(name)) is not None:
            found = array("I", map(places.__getitem__, paths))
            asked = tuple(questions.get(name) or ())
            nodes[name] = Trace(last.fingerprint, last.digest, found.tobytes(), asked)
    body = msgspec.msgpack.encode(_Traces(sight, nodes))
    file = _file(root, key)
    with contextlib.suppress(OSError):  # a memory, not a result
        beside = file.with_name(f"{file.name}.{os.getpid()}")
        beside.write_bytes(_CRC.pack(zlib.crc32(body)) + body)
        beside.replace(file)


def _since(root: Path, name: str, environ: Mapping[str, str]) -> Since | None:
    """What moved since the settled build of this key; None when more than files may have changed."""
    try:
        found, paths, signatures = settled.read(settled.folder(root), name, environ)
        moved = frozenset(witness.all_moved(str(root), paths, signatures))
        sight = keeping.sight(found["paths"], found["signatures"])
        return Since(paths, signatures, moved, list(found["env"]), sight)
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def _read(root: Path, key: str, since: Since) -> dict[str, Trace] | None:
    try:
        data = _file(root, key).read_bytes()
        if _CRC.pack(zlib.crc32(data[_CRC.size :])) != data[: _CRC.size]:
            return None
        found = msgspec.msgpack.decode(data[_CRC.size :], type=_Traces)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.nodes if found.sight == since.sight else None


def _file(root: Path, key: str) -> Path:
    return Path(settled.folder(root), f"{key}{keeping.NODES}")
