"""A fingerprint is a list of labelled parts: written once, hashed to decide, compared to explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from imgbake import digest
from imgbake.contract import Part

_ENCODER = msgspec.json.Encoder()

# What a person asks about first comes first.
_ORDER = ("arg", "commit", "base", "tool", "env", "input", "file", "needs", "option", "lowered")


class Change(msgspec.Struct, frozen=True):
    """A part that differs between two fingerprints. None stands for a part that is not there."""

    label: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        kind, _, name = self.label.partition(" ")
        subject = name if kind in ("input", "file", "lowered") else self.label
        if self.before is None:
            return f"{subject} added"
        if self.after is None:
            return f"{subject} removed"
        if self._is_short() and not self._is_digest():
            return f"{subject} changed: {self.before} -> {self.after}"
        return f"{subject} changed"

    def lines(self) -> tuple[str, ...]:
        """What changed inside a part of several lines, as a line diff; empty for a short one."""
        if self._is_short() or self._is_digest() or self.before is None or self.after is None:
            return ()
        import difflib  # costs a millisecond, and most runs explain nothing

        pair = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=1)
        return tuple(line for line in pair if not line.startswith(("---", "+++")))

    def _is_digest(self) -> bool:
        return self.label.startswith(("base ", "input ", "file ", "env ", "tool ", "needs "))

    def _is_short(self) -> bool:
        both = (self.before or "") + (self.after or "")
        return "\n" not in both and len(both) <= 160


def of(parts: Sequence[Part]) -> str:
    """The digest that stands for these parts, in this order."""
    return digest.of_bytes(_ENCODER.encode(parts))


def changes(before: Iterable[Part], after: Iterable[Part]) -> tuple[Change, ...]:
    """What differs, the most telling first. Parts of one label are compared as one text."""
    old, new = _by_label(before), _by_label(after)
    found = [
        Change(label, old.get(label), new.get(label))
        for label in {**old, **new}
        if old.get(label) != new.get(label)
    ]
    return tuple(sorted(found, key=lambda change: (_rank(change.label), change.label)))


def _by_label(parts: Iterable[Part]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for part in parts:
        texts[part.label] = f"{texts[part.label]}\n{part.value}" if part.label in texts else part.value
    return texts


def _rank(label: str) -> int:
    kind = label.partition(" ")[0]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
