"""A wrong table made right, so that the rest of it can be checked in the same run.

What is wrong has been reported and is replaced by a stand-in of the right type. Text is replaced by
`STAND_IN`, which no recipe can hold, so that what is then said of it can be told and left out.
"""

from __future__ import annotations

from typing import Any

from msgspec import inspect as types

from imgbake.recipe.toml_types import ARRAYS, alternatives, has_shape, limits_broken

STAND_IN = "\0"


def repaired(value: Any, type_: types.Type) -> Any:
    """The value with everything that is not of this type replaced."""
    options = alternatives(type_)
    fitting = next((option for option in options if has_shape(value, option)), None)
    if fitting is None:
        return _stand_in(options)
    if isinstance(fitting, types.CollectionType):
        return [repaired(item, fitting.item_type) for item in value]
    if isinstance(fitting, types.DictType):
        return {key: repaired(item, fitting.value_type) for key, item in value.items()}
    if isinstance(fitting, types.StructType):
        return _struct(value, fitting)
    return _stand_in(options) if any(limits_broken(value, fitting)) else value


def _struct(table: dict[str, Any], type_: types.StructType) -> dict[str, Any]:
    """The struct's keys. Wrong ones that may be left out are left out."""
    fields = {field.encode_name: field for field in type_.fields}
    return {
        key: repaired(table.get(key), field.type)
        for key, field in fields.items()
        if field.required or (key in table and _is_good(table[key], field.type))
    }


def _is_good(value: Any, type_: types.Type) -> bool:
    """Is the value right, as far as it can be told without looking into it?"""
    fitting = next((option for option in alternatives(type_) if has_shape(value, option)), None)
    return fitting is not None and not any(limits_broken(value, fitting))


def _stand_in(options: tuple[types.Type, ...]) -> Any:
    if any(isinstance(option, types.StrType) for option in options):
        return STAND_IN
    type_ = options[0]
    if isinstance(type_, types.LiteralType):
        return type_.values[0]
    if isinstance(type_, types.IntType | types.FloatType):
        return type_.ge or 0
    if isinstance(type_, types.StructType):
        return _struct({}, type_)
    if isinstance(type_, ARRAYS):
        return []
    return {} if isinstance(type_, types.DictType) else False
