"""Types and values in the words of TOML, for messages: "an array of strings", "an integer"."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from msgspec import inspect as types

from imgbake.recipe.toml_types import ARRAYS, TABLES, alternatives

_NAMES: tuple[tuple[type | tuple[type, ...], str, str], ...] = (
    (types.StrType, "a string", "strings"),
    (types.IntType, "an integer", "integers"),
    (types.FloatType, "a number", "numbers"),
    (types.BoolType, "a boolean", "booleans"),
    (types.DateTimeType, "a date-time", "date-times"),
    (types.DateType, "a date", "dates"),
    (types.TimeType, "a time", "times"),
    (TABLES, "a table", "tables"),
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def wanted(type_: types.Type) -> str:
    """What a key of this type must be: "a string or an array of strings"."""
    return _either(
        [_wanted(option) for option in alternatives(type_)], integer="an integer", number="a number"
    )


def found(value: object) -> str:
    """What a value is: "an integer"."""
    if isinstance(value, bool):  # before int, which it also is
        return "a boolean"
    if isinstance(value, datetime.datetime):  # before date, likewise
        return "a date-time"
    names: tuple[tuple[type, str], ...] = (
        (str, "a string"),
        (int, "an integer"),
        (float, "a float"),
        (list, "an array"),
        (dict, "a table"),
        (datetime.date, "a date"),
        (datetime.time, "a time"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def sample(type_: types.Type) -> str:
    """How a value of this type could be written."""
    type_ = alternatives(type_)[0]
    if isinstance(type_, types.LiteralType):
        return written(type_.values[0])
    if isinstance(type_, ARRAYS):
        return "[...]"
    if isinstance(type_, TABLES):
        return "{ ... }"
    if isinstance(type_, types.BoolType):
        return "true"
    return "1" if isinstance(type_, types.IntType | types.FloatType) else '"..."'


def written(value: object) -> str:
    """A scalar as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)  # TOML's basic strings escape as JSON's do
    return str(value)


def dotted(path: Sequence[str | int]) -> str:
    """A path of keys as a person writes it: `components.app.files[1]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE.fullmatch(key) else written(key))
    return text


def _wanted(type_: types.Type) -> str:
    if isinstance(type_, types.LiteralType):
        return "one of " + ", ".join(written(value) for value in type_.values)
    if isinstance(type_, types.EnumType):
        return "one of " + ", ".join(written(member.value) for member in type_.cls)
    if isinstance(type_, types.CollectionType):
        return "an array" + _of(type_.item_type)
    if isinstance(type_, types.TupleType):
        return "an array"
    if isinstance(type_, types.DictType):
        return "a table" + _of(type_.value_type)
    return next((name for kind, name, _ in _NAMES if isinstance(type_, kind)), "a value of another type")


def _of(type_: types.Type) -> str:
    options = alternatives(type_)
    plurals = [next((many for kind, _, many in _NAMES if isinstance(option, kind)), "") for option in options]
    return " of " + _either(plurals, integer="integers", number="numbers") if plurals and all(plurals) else ""


def _either(words: list[str], *, integer: str, number: str) -> str:
    """The words as a list, without the integers where any number will do."""
    kept = list(dict.fromkeys(word for word in words if word != integer or number not in words))
    return " or ".join(filter(None, [", ".join(kept[:-1]), kept[-1]]))
