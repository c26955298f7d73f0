"""A table whose `uses` names the kind that a plugin adds: the core's keys and the plugin's options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from imgbake.errors import did_you_mean
from imgbake.recipe import options
from imgbake.recipe.files import Section
from imgbake.recipe.reading import Reading
from imgbake.recipe.tasks import own_options

T = TypeVar("T", bound=msgspec.Struct)


class OfKind(msgspec.Struct, Generic[T], frozen=True):
    """Such a table: its kind, all of it as it is expanded, both halves, and the arguments that it reads.

    Of one that is wrong, the core's keys as far as they are right, to be checked further.
    """

    kind: str
    table: dict[str, Any]
    common: T
    options: Any
    args: tuple[str, ...]
    is_right: bool


def read_of_kind(
    name: str,
    section: Section,
    common: type[T],
    class_of: Callable[[str], type | None],
    installed: Callable[[], Sequence[str]],
    reading: Reading,
) -> OfKind[T] | None:
    """One table of a section, with its faults added; None when nothing can be told of it.

    `class_of` gives the plugin's class of a kind, `installed` all kinds there are.
    """
    expanded = reading.table(section, name)
    if expanded is None:
        return None
    table, args = expanded
    at, what = section.at(name), section.name.removesuffix("s")
    kind = table.get("uses")
    if not isinstance(kind, str):
        message = f"'uses' {'is missing' if kind is None else 'must be a string'} in {section.name}.{name}"
        reading.fault(at / "uses", message, one_of(what, installed()))
        return None
    cls = class_of(kind)
    if cls is None:
        reading.fault(at / "uses", f"there is no kind of {what} '{kind}'", did_you_mean(kind, installed()))
        return None
    type_ = own_options(kind, cls, common)
    own, is_right = options.read_repaired(table, common, at, reading.faults, beside=(type_,))
    typed = options.read(table, type_, at, reading.faults, beside=(common,))
    return None if own is None else OfKind(kind, table, own, typed, args, is_right and typed is not None)


def one_of(what: str, kinds: Collection[str]) -> str:
    """What a user can write as `uses`."""
    return f"write uses = one of {', '.join(sorted(kinds))}" if kinds else f"no kind of {what} is installed"
