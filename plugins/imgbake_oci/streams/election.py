"""One manifest for each version of a document, agreed on by writers who share nothing but tags.

This is Lamport's Disk Paxos with one disk, whose blocks are tags that are put once: what a registry
must do is to show a tag to whoever lists or asks after it was put. No clocks and no leases are needed
for safety: a writer may stop anywhere, for ever, or go on after an hour.

A writer begins a round of a version, later than all that it sees, by a tag; if then it sees no later one,
it takes the manifest that the latest round before wanted, or its own if there was none, and wants that,
by a second tag. If it still sees no later round, this manifest is the version for ever, since whoever
begins a later round finds it wanted; a third tag says so. What was decided can't be decided again.

Only liveness needs time: who sees another at work lets it finish first, and waits at random, for as long as
its own questions take, and then for longer and longer.

Marks of old versions are removed, in the order of versions, those of writers after the decision that they
stand on. A writer that was away so long that it can't see what others wanted would find that decision
gone, too; it looks for it before it says what the version is. (Nothing comes before the first version,
so what was wanted there is kept.)
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from imgbake.api import BakeError
from imgbake_oci.streams.marks import BEGINS, ENDS, LAST_ROUND, WANTS, WRITER, Mark, Phase, parse

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 2.0  # seconds
_POLITE = 5  # times that a writer looks whether another has finished before it begins a later round
_KEPT = 16  # versions, whose marks stay


class Tags(Protocol):
    """The tags of a repository. Each is put once, or again with the same manifest."""

    def all(self) -> Iterable[str]:
        """Those that are there."""

    def put(self, tag: str, manifest: bytes) -> None: ...

    def get(self, tag: str) -> bytes | None:
        """The manifest, None when there is no such tag."""

    def digest(self, tag: str) -> str:
        """The manifest's digest, empty when there is no such tag."""

    def remove(self, tag: str) -> None:
        """Removes a tag, if the registry does that."""


class _Decided(Exception):
    """The version is decided."""


class Election:
    """A writer that wants a manifest to be the next version after `before` (None: the first)."""

    def __init__(
        self,
        tags: Tags,
        stream: str,
        before: tuple[Mark, str] | None,  # with the digest of its manifest
        begun: bytes,  # a manifest for the marks of rounds, like no other writer's
        phase: Callable[[bytes], Phase],  # how a manifest is decided
        wait: Callable[[float], object],
    ) -> None:
        self._tags = tags
        self._before = before
        self._begun = begun
        self._phase = phase
        self._wait = wait
        version = before[0].version + 1 if before else 1
        self._mine = Mark(stream, version, BEGINS, 1, uuid.uuid4().hex[:WRITER])
        self._own: bytes | None = None  # what others can see that we want
        self._took = 0.0  # seconds, the last look

    def run(self, make: Callable[[], bytes]) -> bool:
        """Is what this makes the version? It must be like no other writer's, and is made only if we come so
        far that others may see it. Raises BakeError."""
        listed = self._listed()
        if self._before and self._before[0] not in listed:
            return False
        try:
            if self._others(listed):
                self._let_others_finish()
                self._enter_later_round()
            return self._decide(make) == self._own
        except _Decided:
            return self._own is not None and self._was_decided()

    def _was_decided(self) -> bool:
        """Is it ours? Another may have decided for what we wanted."""
        ends = (self._tags.get(str(self._end(phase))) for phase in ENDS)
        found = next((each for each in ends if each is not None), None)
        if found is None:
            message = (
                f"the stream '{self._mine.stream}' may have been changed, or not: others changed it often"
            )
            raise BakeError(f"{message} while we were away", hint="look at it, and try again")
        return found == self._own

    def _let_others_finish(self) -> None:
        """Raises _Decided when they have."""
        for turn in range(_POLITE):
            pause = max(_FIRST_PAUSE, self._took) * 2**turn
            self._wait(random.uniform(0, min(pause, _LONGEST_PAUSE)))
            self._seen()

    def _decide(self, make: Callable[[], bytes]) -> bytes:
        while (value := self._agreed(make)) is None:
            self._let_others_finish()
            self._enter_later_round()
        if self._before and self._tags.digest(str(self._before[0])) != self._before[1]:
            raise _Decided  # so long ago that others' marks may be gone
        self._tags.put(str(self._end(self._phase(value))), value)
        return value

    def _agreed(self, make: Callable[[], bytes]) -> bytes | None:
        """The manifest that our round has come to, None when there is a later round."""
        self._tags.put(str(self._mine), self._begun)
        before = self._seen()
        if self._is_overtaken(before):
            return None
        value = self._wanted(before)
        if value is None:
            value = self._own = self._own or make()
        self._tags.put(str(replace(self._mine, phase=WANTS)), value)
        return None if self._is_overtaken(self._seen()) else value

    def _wanted(self, marks: list[Mark]) -> bytes | None:
        """What the latest of the earlier rounds wanted.

        A tag that is listed and not there is one that is just being put: then its writer will see our round.
        """
        wanting = sorted((each for each in marks if each.phase == WANTS), key=lambda each: each.ballot)
        found = (self._tags.get(str(each)) for each in reversed(wanting))
        return next((manifest for manifest in found if manifest is not None), None)

    def _seen(self) -> list[Mark]:
        """The marks of all other rounds of this version. Raises _Decided when there are no more rounds."""
        return self._others(self._listed())

    def _listed(self) -> list[Mark]:
        began = time.monotonic()
        marks = [each for each in parse(self._tags.all()) if each.stream == self._mine.stream]
        self._took = time.monotonic() - began
        return marks

    def _others(self, marks: list[Mark]) -> list[Mark]:
        for mark in marks:
            if mark.is_decided and mark.version >= self._mine.version and self._tags.digest(str(mark)):
                raise _Decided
        rounds = (each for each in marks if each.version == self._mine.version and not each.is_decided)
        return [each for each in rounds if each.ballot != self._mine.ballot]

    def _is_overtaken(self, marks: list[Mark]) -> bool:
        return any(each.ballot > self._mine.ballot for each in marks)

    def _enter_later_round(self) -> None:
        last = max([self._mine.round, *(each.round for each in self._seen())])
        if last >= LAST_ROUND:
            raise BakeError(f"the stream '{self._mine.stream}' can't be changed: there were too many tries")
        self._mine = replace(self._mine, round=last + 1)

    def _end(self, phase: Phase) -> Mark:
        return Mark(self._mine.stream, self._mine.version, phase)


def tidy(tags: Tags, stream: str, newest: int) -> None:
    """Removes marks of versions long before the newest."""
    marks = [each for each in parse(tags.all()) if each.stream == stream]
    old = [each for each in marks if each.version <= newest - _KEPT and (each.version > 1 or each.is_decided)]
    for mark in sorted(old, key=lambda each: (each.version, each.is_decided)):
        tags.remove(str(mark))
