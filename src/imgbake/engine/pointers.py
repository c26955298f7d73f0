"""Which names moved at destinations, and what they meant before: what `--rollback` goes by.

One JSON document to a line, appended and flushed to disk before the name moves, so that a run that is
killed leaves a line too many and never one too few:

    {"type":"move", …}     a name moves
    {"type":"done", …}     all names of a distribution mean what they should: its change is complete
    {"type":"undone", …}   a name was put back

A change is all that a distribution moved since the last "done", be it in several runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Move(msgspec.Struct, frozen=True, tag="move", tag_field="type"):
    """A name that moved, or was about to. References are empty where there is none."""

    distribution: str
    destination: str
    pointer: str
    before: str
    after: str
    time: float  # seconds since 1970


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="type"):
    """The end of a change."""

    distribution: str


class Undone(msgspec.Struct, frozen=True, tag="undone", tag_field="type"):
    """A move that was taken back."""

    move: Move


_LINE = msgspec.json.Decoder(Move | Done | Undone)


class Pointers:
    """The history of one project's names. Safe from threads; one process at a time writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def moving(self, move: Move) -> None:
        """Notes a move that is about to happen."""
        self._append(move)

    def undone(self, move: Move) -> None:
        """Notes that a move was taken back."""
        self._append(Undone(move))

    def complete(self, distribution: str) -> None:
        """Notes that all names of a distribution mean what they should."""
        if self.unfinished(distribution):
            self._append(Done(distribution))

    def unfinished(self, distribution: str) -> list[Move]:
        """The moves of a change that is not complete, the newest first."""
        return self._changes(distribution)[-1]

    def last(self, distribution: str) -> list[Move]:
        """The moves of the last change that was not taken back, the newest first; none if there is none."""
        return next((moves for moves in reversed(self._changes(distribution)) if moves), [])

    def held(self) -> dict[str, list[str]]:
        """By reference, the names that mean it, or did before they moved last, so that they may again."""
        found: dict[str, list[str]] = {}
        for name, history in self._histories().items():
            for reference in filter(None, history[-2:]):
                found.setdefault(reference, []).append(name)
        return found

    def _histories(self) -> dict[str, list[str]]:
        """What each name at a destination has meant, the last at the end."""
        found: dict[str, list[str]] = {}
        for line in self._read():
            if isinstance(line, Move):
                history = found.setdefault(f"{line.destination} {line.pointer}", [line.before])
                history += [line.before] if history[-1] != line.before else []
                history.append(line.after)
            elif isinstance(line, Undone):
                history = found.setdefault(f"{line.move.destination} {line.move.pointer}", [line.move.before])
                if len(history) > 1 and history[-1] == line.move.after:
                    history.pop()
        return found

    def _changes(self, distribution: str) -> list[list[Move]]:
        """All changes, the last one not complete and maybe empty."""
        changes: list[list[Move]] = [[]]
        for line in self._read():
            match line:
                case Move() if line.distribution == distribution:
                    changes[-1].insert(0, line)
                case Done() if line.distribution == distribution:
                    changes.append([])
                case Undone() if line.move.distribution == distribution:
                    for moves in reversed(changes):
                        if line.move in moves:
                            moves.remove(line.move)
                            break
        return changes

    def _read(self) -> Iterator[Move | Done | Undone]:
        try:
            data = self._path.read_bytes()
        except OSError:
            return
        for line in data.splitlines():
            try:
                yield _LINE.decode(line)
            except msgspec.DecodeError:  # cut short by a crash of the machine
                continue

    def _append(self, line: Move | Done | Undone) -> None:
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                # A line that a crash cut short ends here, and spoils no other.
                is_cut = file.tell() > 0 and not self._path.read_bytes().endswith(b"\n")
                file.write((b"\n" if is_cut else b"") + msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
