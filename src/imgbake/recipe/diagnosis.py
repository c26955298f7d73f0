"""Everything that is wrong with a table, key by key: what msgspec's first error leaves unsaid.

The walk knows the types that options are made of. What it cannot judge (a struct's `__post_init__`,
a type of a plugin's own) is left to msgspec, whose one message is then put into place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec import inspect as types

from imgbake.errors import did_you_mean
from imgbake.model import At
from imgbake.recipe.faults import Fault
from imgbake.recipe.toml_types import alternatives, has_shape, limits_broken
from imgbake.recipe.toml_words import dotted, found, sample, wanted, written

_ELSEWHERE = {
    "command": ("run", "build"), "commands": ("build", "run"), "run": ("build",), "script": ("run", "build"),
    "deps": ("needs",), "depends_on": ("needs",), "requires": ("needs",), "sources": ("inputs",),
    "from": ("base",), "parent": ("base",), "environment": ("env",), "expose": ("ports",),
    "copy": ("files",), "src": ("from",), "source": ("from",),
    "dest": ("to",), "dst": ("to",), "destination": ("to",), "target": ("to",),
}  # fmt: skip
"""What other tools call it, and the keys that mean it here."""

_PATH = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.(?P<key>[^.\[]+)")
_QUOTED = re.compile(r"`([^`]+)`|'([^']+)'")


def diagnose(table: object, type_: type[msgspec.Struct], at: At, known: frozenset[str]) -> list[Fault]:
    """The faults of a table that should be of this type. `known` are the keys that it may have."""
    info = types.type_info(type_)
    assert isinstance(info, types.StructType)
    if not isinstance(table, dict):
        return [_wrong_type(table, info, at)]
    faults = [*_unknown(table, known, at), *_fields(table, info, at)]
    mine = {key: value for key, value in table.items() if key in type_.__struct_encode_fields__}
    return faults or [*_refused(mine, type_, at)]


def meant(key: str, known: Collection[str]) -> str:
    """A suggestion for an unknown key: the one that means what it means in other tools, or is spelt alike."""
    ours = [each for each in _ELSEWHERE.get(key, ()) if each in known]
    return f"did you mean '{ours[0]}'?" if ours else did_you_mean(key, known)


def _unknown(table: dict[str, Any], known: frozenset[str], at: At) -> Iterator[Fault]:
    for key in table:
        if key not in known:
            inside = f" in {dotted(at.path)}" if at.path else ""
            yield Fault(at / key, f"unknown key '{key}'{inside}", meant(key, known))


def _fields(table: dict[str, Any], info: types.StructType, at: At) -> Iterator[Fault]:
    for field in info.fields:
        key = field.encode_name
        if key in table:
            yield from _value(table[key], field.type, at / key)
        elif field.required:
            message = f"'{key}' is missing in {dotted(at.path)}"
            yield Fault(at, message, f"add {key} = {sample(field.type)}")


def _value(value: Any, type_: types.Type, at: At) -> Iterator[Fault]:
    options = alternatives(type_)
    fitting = [option for option in options if has_shape(value, option)]
    if fitting:
        yield from _inside(value, fitting[0], at)
    elif all(isinstance(option, types.LiteralType | types.EnumType) for option in options):
        yield _not_offered(value, options, at)
    else:
        yield _wrong_type(value, type_, at)


def _inside(value: Any, type_: types.Type, at: At) -> Iterator[Fault]:
    for broken, hint in limits_broken(value, type_):
        yield Fault(at, f"{_name(at)} {broken}", hint, value=True)
    if isinstance(type_, types.CollectionType):
        for index, item in enumerate(value):
            yield from _value(item, type_.item_type, at / index)
    elif isinstance(type_, types.DictType):
        for key, item in value.items():
            yield from _value(item, type_.value_type, at / key)
    elif isinstance(type_, types.StructType):
        known = frozenset(field.encode_name for field in type_.fields)
        yield from _unknown(value, known, at)
        yield from _fields(value, type_, at)


def _not_offered(value: Any, options: tuple[types.Type, ...], at: At) -> Fault:
    choices = [choice for option in options for choice in _choices(option)]
    shown = written(value) if isinstance(value, str | int | float) else found(value)
    offered = "choose from " + ", ".join(written(choice) for choice in choices)
    near = did_you_mean(str(value), map(str, choices))
    hint = f"{near} {offered}" if near.startswith("did you mean") else offered
    return Fault(at, f"{_name(at)} cannot be {shown}", hint, value=True)


def _choices(type_: types.Type) -> list[Any]:
    if isinstance(type_, types.LiteralType):
        return list(type_.values)
    return [member.value for member in type_.cls] if isinstance(type_, types.EnumType) else []


def _wrong_type(value: Any, type_: types.Type, at: At) -> Fault:
    message = f"{_name(at)} must be {wanted(type_)}, not {found(value)}"
    return Fault(at, message, _how_to_write(value, alternatives(type_), at), value=True)


def _how_to_write(value: Any, options: tuple[types.Type, ...], at: At) -> str:
    """The value as it was probably meant."""
    key = f"{at.path[-1]} = " if at.path and isinstance(at.path[-1], str) else ""
    if isinstance(value, bool | int) and any(isinstance(option, types.StrType) for option in options):
        return f'put it in quotes: {key}"{written(value)}"'
    if isinstance(value, float) and any(isinstance(option, types.StrType) for option in options):
        return "put it in quotes"
    for option in options:
        if isinstance(option, types.CollectionType) and has_shape(value, option.item_type):
            return f"put it in brackets: {key}[{written(value)}]" if not isinstance(value, dict) else ""
        needed = option.fields if isinstance(option, types.StructType) and isinstance(value, str) else ()
        keys = [f"{field.encode_name} = {sample(field.type)}" for field in needed if field.required]
        if keys:
            return f"write it as a table: {key}{{ {', '.join(keys)} }}"
    if isinstance(value, str) and any(_reads_as(value, option) for option in options):
        return f"leave out the quotes: {key}{value}"
    return ""


def _reads_as(text: str, type_: types.Type) -> bool:
    if isinstance(type_, types.BoolType):
        return text in ("true", "false")
    return isinstance(type_, types.IntType) and text.isascii() and text.isdecimal()


def _refused(table: dict[str, Any], type_: type[msgspec.Struct], at: At) -> Iterator[Fault]:
    """The one thing that msgspec, or the type's own check, says of a table in which we saw nothing."""
    try:
        msgspec.convert(table, type_)
    except msgspec.ValidationError as error:
        text = str(error)
        path = _PATH.search(text)
        message = text[: path.start()] if path else text
        for step in _STEP.finditer(path["path"] if path else ""):
            at = at / (int(step["index"]) if step["index"] else step["key"])
        yield Fault(_named(message, table, at), message, value=True)


def _named(message: str, table: dict[str, Any], at: At) -> At:
    """The key that a message quotes, if the table has it; else where the message was found."""
    for match in _QUOTED.finditer(message):
        key = match[1] or match[2]
        if key in table:
            return at / key
    return at


def _name(at: At) -> str:
    """How a message calls the key: its name, with the table for one in an array."""
    if not at.path:
        return "the recipe"
    last = at.path[-1]
    if isinstance(last, str):
        return f"'{last}'"
    names = [key for key in at.path if isinstance(key, str)]
    return f"'{dotted([names[-1], *at.path[at.path.index(names[-1]) + 1 :]])}'" if names else "the value"
