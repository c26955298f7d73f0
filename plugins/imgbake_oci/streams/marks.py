"""Tags that say how far a version of a stream's document is on its way.

    _NAME.VERSION.ROUNDaWRITER    a writer begins a round
    _NAME.VERSION.ROUNDbWRITER    it wants this manifest to be the version
    _NAME.VERSION.d               this manifest is the version
    _NAME.VERSION.x               so it is, and there is no stream any more

VERSION has eight hex digits, ROUND four, WRITER ten: the longest fits into the 128 characters of a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

Phase = Literal["a", "b", "d", "x"]
BEGINS: Final = "a"
WANTS: Final = "b"
DECIDED: Final = "d"
REMOVED: Final = "x"
ENDS: tuple[Phase, ...] = (DECIDED, REMOVED)
_MARK = re.compile(
    r"_(?P<stream>.{1,100})\.(?P<version>[0-9a-f]{8})\."
    r"(?:(?P<round>[0-9a-f]{4})(?P<phase>[ab])(?P<writer>[0-9a-f]{10})|(?P<end>[dx]))"
)
WRITER = 10  # characters
LAST_ROUND = 0xFFFF


class Mark(msgspec.Struct, frozen=True):
    """What one tag says."""

    stream: str
    version: int
    phase: Phase
    round: int = 0
    writer: str = ""

    def __str__(self) -> str:
        at = f"_{self.stream}.{self.version:08x}."
        return at + (self.phase if self.is_decided else f"{self.round:04x}{self.phase}{self.writer}")

    @property
    def is_decided(self) -> bool:
        """Does it name what a version is, and not what somebody wants it to be?"""
        return self.phase in ENDS

    @property
    def ballot(self) -> tuple[int, str]:
        """The order of rounds, in which no two are equal."""
        return self.round, self.writer


def parse(tags: Iterable[str]) -> list[Mark]:
    """The tags that are marks."""
    found = []
    for tag in tags:
        if mark := _MARK.fullmatch(tag):
            phase: Any = mark["end"] or mark["phase"]
            number, turn = int(mark["version"], 16), int(mark["round"] or "0", 16)
            found.append(Mark(mark["stream"], number, phase, turn, mark["writer"] or ""))
    return found
