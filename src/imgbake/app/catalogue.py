"""`imgbake plugins`: the kinds that are installed, and the options of each."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import msgspec.inspect

from imgbake import plugins
from imgbake.errors import UsageError, did_you_mean
from imgbake.recipe import toml_words
from imgbake.recipe.options import options_of


class Kind(msgspec.Struct, frozen=True):
    """A kind of task, target, destination or trigger, or of file that describes images."""

    name: str
    role: str  # "task", "target", "destination", "trigger" or "image"
    origin: str
    summary: str


class Option(msgspec.Struct, frozen=True):
    """One option of a kind."""

    name: str
    type: str
    default: str
    description: str


def kinds() -> list[Kind]:
    """Everything that is installed, and where it comes from."""
    found = plugins.installed()
    origins = found.origins()
    tasks = [_kind(name, "task", found.step(name), origins) for name in found.step_kinds()]
    targets = [_kind(name, "target", found.target(name), origins) for name in found.target_kinds()]
    formats = [_kind(name, "image", found.format(name), origins) for name in found.format_kinds()]
    places = [
        _kind(name, "destination", found.destination(name), origins) for name in found.destination_kinds()
    ]
    triggers = [_kind(name, "trigger", found.trigger(name), origins) for name in found.trigger_kinds()]
    return tasks + targets + formats + places + triggers


def options(kind: str) -> list[Option]:
    """The options of a kind. Raises UsageError when it is not installed."""
    found = plugins.installed()
    looks = (found.step, found.target, found.format, found.destination, found.trigger)
    cls: Any = next(filter(None, (look(kind) for look in looks)), None)
    if cls is None:
        known = [
            *found.step_kinds(),
            *found.target_kinds(),
            *found.format_kinds(),
            *found.destination_kinds(),
            *found.trigger_kinds(),
        ]
        raise UsageError(f"no plugin adds the kind '{kind}'", hint=did_you_mean(kind, known))
    return [_option(field) for field in msgspec.structs.fields(options_of(cls))]


def _kind(name: str, role: str, cls: Any, origins: dict[str, str]) -> Kind:
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    origin = origins.get(name) or origins.get(f"{role}-{name}", cls.__module__)
    return Kind(name, role, origin, summary)


def _option(field: msgspec.structs.FieldInfo) -> Option:
    meta = next(
        (each for each in getattr(field.type, "__metadata__", ()) if isinstance(each, msgspec.Meta)), None
    )
    kind = toml_words.wanted(msgspec.inspect.type_info(field.type)).removeprefix("a ").removeprefix("an ")
    return Option(field.encode_name, kind, _default_text(field), (meta.description or "") if meta else "")


def _default_text(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "(required)"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return "" if value is None else msgspec.json.encode(value).decode()
