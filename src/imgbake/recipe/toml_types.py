"""Whether a TOML value is of a type, asked step by step: its shape first, then its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect as types

ARRAYS = (types.CollectionType, types.TupleType)
TABLES = (types.DictType, types.StructType, types.DataclassType, types.TypedDictType)


def alternatives(type_: types.Type) -> tuple[types.Type, ...]:
    """The types that a value may have: those of a union, without None, which TOML cannot write."""
    while isinstance(type_, types.Metadata):
        type_ = type_.type
    if isinstance(type_, types.NoneType):
        return ()
    if not isinstance(type_, types.UnionType):
        return (type_,)
    return tuple(part for option in type_.types for part in alternatives(option))


def has_shape(value: Any, type_: types.Type) -> bool:
    """Is the value of this type, as far as can be told without looking into it?"""
    if isinstance(type_, types.LiteralType):
        return any(value == choice and type(value) is type(choice) for choice in type_.values)
    if isinstance(type_, types.EnumType):
        return value in [member.value for member in type_.cls]
    if isinstance(type_, types.StrType):
        return isinstance(value, str)
    if isinstance(type_, types.BoolType):
        return isinstance(value, bool)
    if isinstance(type_, types.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(type_, types.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(type_, ARRAYS):
        return isinstance(value, list)
    if isinstance(type_, TABLES):
        return isinstance(value, dict)
    return True  # msgspec judges


def limits_broken(value: Any, type_: types.Type) -> Iterator[tuple[str, str]]:
    """What `msgspec.Meta` demands and this value, of the right shape, is not; with a hint."""
    if isinstance(type_, types.IntType | types.FloatType):
        if type_.ge is not None and value < type_.ge:
            yield f"must be {type_.ge} or more", ""
        if type_.gt is not None and value <= type_.gt:
            yield f"must be more than {type_.gt}", ""
        if type_.le is not None and value > type_.le:
            yield f"must be {type_.le} or less", ""
        if type_.lt is not None and value >= type_.lt:
            yield f"must be less than {type_.lt}", ""
    elif isinstance(type_, types.StrType | types.CollectionType | types.DictType):
        if type_.min_length is not None and len(value) < type_.min_length:
            yield "must not be empty" if type_.min_length == 1 else f"is shorter than {type_.min_length}", ""
        if type_.max_length is not None and len(value) > type_.max_length:
            yield f"is longer than {type_.max_length}", ""
    if isinstance(type_, types.StrType) and type_.pattern and not re.search(type_.pattern, value):
        yield f"cannot be '{value}'", f"it must match {type_.pattern}"
