"""Options in the words of Image Builder's API: its camelCase, without what is not said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def in_words(value: Any) -> Any:
    """Options as the API says them: its names, without what is not said."""
    if isinstance(value, msgspec.Struct):
        named = {field: getattr(value, field) for field in value.__struct_fields__}
        return {camel(name): in_words(each) for name, each in named.items() if is_said(each)}
    if isinstance(value, Mapping):
        return {name: in_words(each) for name, each in value.items()}
    return [in_words(each) for each in value] if isinstance(value, list | tuple) else value


def is_said(value: Any) -> bool:
    """Does the value say something?"""
    return value is not None and value not in ("", (), [], {})


def camel(name: str) -> str:
    """A name as the API writes it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
