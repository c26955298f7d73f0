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
from itertools import chain
from pathlib import Path
from threading import Thread
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
    signatures: witness.Signatures = memoryview(b"").cast("q")  # four numbers a path, as they were
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


class Past:
    """The settled build of a key. What its nodes keep elsewhere is asked for at once, while others open the
    project: the answer may take as long."""

    def __init__(self, root: Path, key: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._since = _since(root, key, environ)
        self._traces = {} if self._since is None else _read(root, key, self._since.sight)
        self._is_there = {name: not trace.question for name, trace in self._traces.items()}
        self._asking = Thread(target=self._ask, daemon=True)
        self._asking.start()

    def unmoved(self, ledger: Ledger, names: Sequence[str]) -> Unmoved:
        """Those of the nodes that nothing concerns which moved since."""
        if self._since is None or not self._traces:
            return UNKNOWN
        moved = witness.all_moved(str(self._root), self._since.paths, self._since.signatures)
        since = self._since._replace(moved=frozenset(moved))
        reached = {name: since.moved.intersection(trace.places) for name, trace in self._traces.items()}
        if not since.moved.issubset(chain.from_iterable(reached.values())):
            return UNKNOWN
        same = [
            name
            for name in names
            if name in self._traces and not reached[name] and self._traces[name].is_of(ledger.last(name))
        ]
        self._asking.join()
        return Unmoved(frozenset(name for name in same if self._is_there[name]), self._traces, since)

    def _ask(self) -> None:
        if self._since is None or self._must_judge_all(self._since):
            return
        questions = {name: trace.question for name, trace in self._traces.items() if trace.question}
        with contextlib.suppress(Exception):  # what nobody can answer is asked again by the node's target
            self._is_there |= zip(questions, settled.answers(list(questions.values())), strict=True)

    def _must_judge_all(self, since: Since) -> bool:
        """Did something move that no node looked at? Then each node asks for itself."""
        looked = set(chain.from_iterable(trace.places for trace in self._traces.values()))
        return any(
            witness.signature(self._root / path) != since.signature(place)
            for place, path in enumerate(since.paths)
            if place not in looked
        )


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
    """The settled build of this key, with nothing moved yet; None when more than files may have changed."""
    try:
        found, paths, signatures = settled.read(settled.folder(root), name, environ)
        sight = keeping.sight(found["paths"], found["signatures"])
        return Since(paths, signatures, env=list(found["env"]), sight=sight)
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def _read(root: Path, key: str, sight: int) -> dict[str, Trace]:
    try:
        data = _file(root, key).read_bytes()
        if _CRC.pack(zlib.crc32(data[_CRC.size :])) != data[: _CRC.size]:
            return {}
        found = msgspec.msgpack.decode(data[_CRC.size :], type=_Traces)
    except (OSError, msgspec.MsgspecError):
        return {}
    return found.nodes if found.sight == sight else {}


def _file(root: Path, key: str) -> Path:
    return Path(settled.folder(root), f"{key}{keeping.NODES}")
