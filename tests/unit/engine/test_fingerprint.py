from __future__ import annotations

from imgbake.contract import Part
from imgbake.engine import fingerprint

BEFORE = (
    Part("kind", "script 1"),
    Part("arg version", "1.4.1"),
    Part("option run", "cc a.c\nld a.o"),
    Part("input a.c", "file 0644 sha256:1"),
    Part("input b.c", "file 0644 sha256:2"),
)
AFTER = (
    Part("kind", "script 1"),
    Part("arg version", "1.4.2"),
    Part("option run", "cc -O2 a.c\nld a.o"),
    Part("input a.c", "file 0644 sha256:3"),
    Part("input c.c", "file 0644 sha256:4"),
)


def test_equal_parts_have_equal_fingerprints() -> None:
    assert fingerprint.of(BEFORE) == fingerprint.of(tuple(Part(*part) for part in map(_pair, BEFORE)))


def test_every_part_decides() -> None:
    assert len({fingerprint.of(BEFORE[:index] + BEFORE[index + 1 :]) for index in range(5)}) == 5


def test_parts_cannot_run_into_each_other() -> None:
    assert fingerprint.of([Part("a", "bc")]) != fingerprint.of([Part("ab", "c")])


def test_changes_name_what_changed_the_most_telling_first() -> None:
    assert [str(change) for change in fingerprint.changes(BEFORE, AFTER)] == [
        "arg version changed: 1.4.1 -> 1.4.2",
        "a.c changed",
        "b.c removed",
        "c.c added",
        "option run changed",
    ]


def test_a_text_of_several_lines_is_shown_as_a_diff() -> None:
    (change,) = (c for c in fingerprint.changes(BEFORE, AFTER) if c.label == "option run")
    assert change.lines() == ("@@ -1,2 +1,2 @@", "-cc a.c", "+cc -O2 a.c", " ld a.o")


def _pair(part: Part) -> tuple[str, str]:
    return part.label, part.value
