"""A spec or a report as a file: records of words, each a name and its values.

    NAME NUL COUNT NUL VALUE NUL ... LF

Paths, arguments and variables hold every character but NUL, so nothing needs to be escaped. JSON would do,
but importing it takes as long as starting Python, and a sandbox is started for every component.
`tr '\\0' ' '` shows one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def encode(records: Iterable[tuple[str, ...]]) -> bytes:
    """The records as a file holds them. Raises ValueError for a value with NUL in it."""
    return b"".join(_encode(record) for record in records)


def decode(data: bytes) -> list[tuple[str, ...]]:
    """The records of a file; one that was only half written is left out."""
    words = data.decode("utf-8", "surrogateescape").split("\0")
    found = []
    at = 0
    while at + 2 < len(words):
        values = at + 2
        end = values + int(words[at + 1])
        if end >= len(words):
            break
        found.append((words[at], *words[values:end]))
        words[end] = words[end].removeprefix("\n")
        at = end
    return found


class Records:
    """Decoded records by name."""

    def __init__(self, data: bytes) -> None:
        self._by_name: dict[str, list[tuple[str, ...]]] = {}
        for name, *values in decode(data):
            self._by_name.setdefault(name, []).append(tuple(values))

    def all(self, name: str) -> list[tuple[str, ...]]:
        """The values of each record of this name."""
        return self._by_name.get(name, [])

    def pairs(self, name: str) -> dict[str, str]:
        """The records of this name, which have two values each."""
        return {values[0]: values[1] for values in self.all(name)}

    def one(self, name: str) -> str:
        """The only value of the only record of this name, or nothing."""
        found = self.all(name)
        return found[0][0] if found else ""


def _encode(record: tuple[str, ...]) -> bytes:
    name, *values = record
    if any("\0" in value for value in record):
        raise ValueError(f"a zero byte in {name}")
    words = (name, str(len(values)), *values)
    return "\0".join(words).encode("utf-8", "surrogateescape") + b"\0\n"
