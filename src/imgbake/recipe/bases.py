"""What images start from: a reference for any kind of artifact, or for each; as text, or as a table.

A table says what to look for, in the words of the kind: `{ ami = { owner = "…", name = "…" } }`. From
here on it is a reference like any other, in the one way in which its kind writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgbake.model import At, Image
from imgbake.recipe import options
from imgbake.recipe.order import cycles
from imgbake.recipe.reading import Reading
from imgbake.streams import PREFIX as STREAM

ANY = ""  # the artifact kind of a base that is written as one string
_IMAGE = "image:"
_WRONG = "scratch"  # stands in for a table that is wrong, so that nothing more is said of it


def references(
    written: str | dict[str, str | dict[str, Any]], at: At, uses: Sequence[str], reading: Reading
) -> dict[str, str]:
    """The references by artifact kind, for an image that these kinds of target bake."""
    if isinstance(written, str):
        return {ANY: written}
    return {
        kind: base if isinstance(base, str) else _reference(base, kind, at / kind, uses, reading)
        for kind, base in written.items()
    }


def check(tables: Mapping[str, object], images: Mapping[str, Image], reading: Reading) -> None:
    """Bases that are images of the recipe exist, and no image stands on itself."""
    stands_on: dict[str, list[str]] = {}
    for image in images.values():
        at = image.at / "base"
        for kind, reference in image.base.items():
            place = at / kind if kind else at
            if not reference:
                reading.fault(place, "the base is empty", 'write base = "scratch" to start from nothing')
            elif reference.startswith(_IMAGE):
                other = reference.removeprefix(_IMAGE)
                stands_on.setdefault(image.name, []).append(other)
                if other not in tables:
                    reading.unknown(place, "image", other, tables)
            elif reference.startswith(STREAM):
                from imgbake.recipe.streams import check_base

                check_base(reference, place, reading)
    for cycle in cycles(stands_on):
        way = " -> ".join([*cycle, cycle[0]])
        reading.fault(images[cycle[0]].at / "base", f"images stand on each other in a circle: {way}")


def _reference(table: dict[str, Any], kind: str, at: At, uses: Sequence[str], reading: Reading) -> str:
    classes = [cls for name in uses if (cls := reading.kinds.target(name)) and cls.artifact == kind]
    type_ = next((found for cls in classes if (found := getattr(cls, "base_table", None))), None)
    if type_ is not None:
        read = options.read(table, type_, at, reading.faults)
        return str(read.reference()) if read else _WRONG
    if classes:
        reading.fault(at, f"a base of the kind '{kind}' is text, not a table", f'write {kind} = "..."')
    else:
        reading.fault(at, f"no target of this image makes the kind '{kind}'", "leave the table out")
    return _WRONG
