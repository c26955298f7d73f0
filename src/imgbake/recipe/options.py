"""A TOML table as a typed struct, with every fault in it found.

msgspec converts a table that is right in one call in C. Only when it refuses is the table walked
key by key (`imgbake.recipe.diagnosis`), which is slower and finds everything.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import msgspec
from msgspec import inspect as types

from imgbake.errors import PluginError
from imgbake.model import At
from imgbake.recipe.faults import Fault as Fault  # callers need it for the lists that they hand in

T = typing.TypeVar("T", bound=msgspec.Struct)
Beside = Sequence[type[msgspec.Struct]]


def read(table: object, type_: type[T], at: At, faults: list[Fault], *, beside: Beside = ()) -> T | None:
    """The table as this type; None, with its faults added, when it is wrong.

    `beside` are types whose keys stand in the same table and are read by another call.
    """
    value, is_right = read_repaired(table, type_, at, faults, beside=beside)
    return value if is_right else None


def read_repaired(
    table: object, type_: type[T], at: At, faults: list[Fault], *, beside: Beside = ()
) -> tuple[T | None, bool]:
    """The table as this type, and whether it is right.

    Of a wrong one the faults are added, and what is right in it is returned so that it can be checked
    further, with stand-ins for the rest (see `imgbake.recipe.repair`); None if not even that can be.
    """
    if type(table) is dict and table.keys() <= _known(type_, *beside) and not _may_hide_keys(table, type_):
        try:
            return msgspec.convert(_own(table, type_, beside), type_), True
        except msgspec.ValidationError:
            pass
    return _walk(table, type_, at, faults, beside)


def read_all(
    tables: Mapping[str, object],
    type_: type[T],
    at: Callable[[str], At],
    faults: list[Fault],
    *,
    beside: Beside = (),
) -> dict[str, tuple[T | None, bool]]:
    """`read_repaired` for many tables, which is fast when all are right."""
    known = _known(type_, *beside)
    clean = {name: table for name, table in tables.items() if type(table) is dict and table.keys() <= known}
    if beside and type_.__struct_config__.forbid_unknown_fields:
        clean = {name: _own(table, type_, beside) for name, table in clean.items()}
    if len(clean) == len(tables) and not any(_may_hide_keys(table, type_) for table in clean.values()):
        try:
            values = msgspec.convert(clean, dict[str, type_])  # type: ignore[valid-type]  # known at run time
            return {name: (value, True) for name, value in values.items()}
        except msgspec.ValidationError:
            pass
    return {
        name: read_repaired(table, type_, at(name), faults, beside=beside) for name, table in tables.items()
    }


@cache
def keys(type_: type[msgspec.Struct]) -> frozenset[str]:
    """The keys that a table of this type may have, as they are written in TOML."""
    return frozenset(type_.__struct_encode_fields__)


@cache
def options_of(cls: type) -> type[msgspec.Struct]:
    """The type of a plugin class's options: the annotation of its constructor's only argument.

    Raises PluginError when there is none, or it is no `msgspec.Struct`.
    """
    plugin = cls.__module__.partition(".")[0]
    hint = "a plugin class takes its options, one msgspec.Struct, as its only constructor argument"
    try:
        annotations = typing.get_type_hints(cls.__init__)  # type: ignore[misc]  # of this very class
    except (NameError, TypeError) as error:
        raise PluginError(
            plugin, f"the options of {cls.__name__} cannot be read: {error}", hint=hint
        ) from error
    annotations.pop("return", None)
    types = list(annotations.values())
    if len(types) != 1 or not (isinstance(types[0], type) and issubclass(types[0], msgspec.Struct)):
        raise PluginError(plugin, f"{cls.__name__} does not declare its options", hint=hint)
    return types[0]


@cache
def _known(*types: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset().union(*map(keys, types))


def _own(table: dict[str, object], type_: type[msgspec.Struct], beside: Beside) -> dict[str, object]:
    """The part of a shared table that is this type's, if the type refuses to see more."""
    if not beside or not type_.__struct_config__.forbid_unknown_fields:
        return table
    mine = keys(type_)
    return {key: value for key, value in table.items() if key in mine}


def _may_hide_keys(table: Mapping[str, object], type_: type[msgspec.Struct]) -> bool:
    """May unknown keys below this table pass? Then it must be walked."""
    return any(map(_holds_tables, table.values())) and _is_lenient(type_)


def _holds_tables(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_tables, value)))


@cache
def _is_lenient(type_: type[msgspec.Struct]) -> bool:
    """Does the type hold structs that let unknown keys pass?"""
    structs = {info.cls: info for info in _structs(types.type_info(type_))}
    structs.pop(type_)  # its own keys are compared before it is converted
    return not all(info.forbid_unknown_fields for info in structs.values())


def _structs(info: types.Type) -> Iterator[types.StructType]:
    """Every struct that a type is made of, itself included."""
    todo, seen = [info], set[type]()
    while todo:
        info = todo.pop()
        if isinstance(info, types.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info
        todo += _made_of(info)


def _made_of(info: types.Type) -> Sequence[types.Type]:
    if isinstance(info, types.StructType):
        return [field.type for field in info.fields]
    if isinstance(info, types.UnionType):
        return info.types
    if isinstance(info, types.TupleType):
        return info.item_types
    if isinstance(info, types.DictType):
        return [info.value_type]
    if isinstance(info, types.CollectionType):
        return [info.item_type]
    return [info.type] if isinstance(info, types.Metadata) else []


def _walk(
    table: object, type_: type[T], at: At, faults: list[Fault], beside: Beside
) -> tuple[T | None, bool]:
    from imgbake.recipe.diagnosis import diagnose  # most recipes are right
    from imgbake.recipe.repair import repaired

    found = diagnose(table, type_, at, _known(type_, *beside))
    faults += found
    try:
        return msgspec.convert(repaired(table, types.type_info(type_)), type_), not found
    except msgspec.ValidationError:  # by a check of the type's own
        return None, False
