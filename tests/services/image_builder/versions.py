"""Semantic versions with wildcards, and names that are the same."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from .errors import Refused

LIMIT = 2**30 - 1


class Version(NamedTuple):
    """Such as 1.2.3; ordered by its numbers."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def read(cls, text: str) -> Version:
        """The version that a text says, without wildcards."""
        wanted = Wanted.read(text)
        if None in wanted.nodes:
            raise _malformed(text, "a wildcard is not allowed here")
        return cls(*(node or 0 for node in wanted.nodes))


class Wanted(NamedTuple):
    """Which versions are meant: such as 1.x.x, with None for an x."""

    nodes: tuple[int | None, ...]

    @classmethod
    def read(cls, text: str) -> Wanted:
        """What a text such as 1.x.x says. To the right of an x is nothing but x."""
        if not re.fullmatch(r"(\d+|x)\.(\d+|x)\.(\d+|x)", text):
            raise _malformed(text, "it must have three nodes, each a number or x")
        nodes = tuple(None if node == "x" else int(node) for node in text.split("."))
        if any(node is not None and node > LIMIT for node in nodes):
            raise _malformed(text, f"a node is at most {LIMIT}")
        if any(left is None and right is not None for left, right in itertools.pairwise(nodes)):
            raise _malformed(text, "all nodes to the right of an x must be x as well")
        return cls(nodes)

    def matches(self, version: Version) -> bool:
        """Is it one of those that are meant?"""
        return all(node in (None, number) for node, number in zip(self.nodes, version, strict=True))

    def next(self, taken: list[Version]) -> Version:
        """The version that a new resource gets: this one, or after the highest one that is taken."""
        lowest = Version(*(node or 0 for node in self.nodes))
        if None not in self.nodes:
            return lowest
        highest = max((version for version in taken if self.matches(version)), default=None)
        if highest is None:
            return lowest if any(lowest) else Version(0, 0, 1)
        return highest._replace(patch=highest.patch + 1)


def normalised(name: str) -> str:
    """A name as it is in ARNs: case, spaces and underscores make no difference."""
    return re.sub(r"[ _]", "-", name.lower())


def _malformed(text: str, why: str) -> Refused:
    return Refused("InvalidVersionNumberException", f"The version '{text}' is not valid: {why}.")
