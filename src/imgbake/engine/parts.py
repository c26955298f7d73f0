"""Parts that the engine adds to a fingerprint for any kind of node: arguments, and a plugin's options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from imgbake.contract import Part
from imgbake.engine.project import Project
from imgbake.engine.secrets import without_passwords


def arg_parts(names: Sequence[str], project: Project) -> Iterator[Part]:
    """The arguments that a node reads; of a secret, only its name."""
    for name in dict.fromkeys(names):
        arg = project.recipe.args[name]
        yield Part(f"arg {name}", "(secret)" if arg.secret else str(arg.value))


def option_parts(options: Any) -> Iterator[Part]:
    """The options that decide and differ from their defaults, each as text."""
    for field in _fields(type(options)):  # type: ignore[arg-type]  # a class is hashable
        value = getattr(options, field.name)
        if value != _default(field):
            text = value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
            yield Part(f"option {field.encode_name}", without_passwords(text))


@cache
def _fields(options: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return tuple(filter(_decides, msgspec.structs.fields(options)))


def _decides(field: msgspec.structs.FieldInfo) -> bool:
    """All decide but those that say `extra={"decides": False}`: how much a step may use, and the like."""
    said = [
        meta.extra or {} for meta in getattr(field.type, "__metadata__", ()) if type(meta) is msgspec.Meta
    ]
    return all(extra.get("decides", True) for extra in said)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default
