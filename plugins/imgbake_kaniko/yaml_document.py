"""Plain data as YAML 1.2, in blocks. Texts are JSON strings, which YAML reads as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from imgbake.api import Json


def yaml(document: Json) -> str:
    """The text of a document."""
    return "\n".join(_lines(document)) + "\n"


def _lines(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _entry(f"{_key(key)}:", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for inner in value:
            first, *rest = _lines(inner)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(key: str, value: Json) -> Iterator[str]:
    lines = list(_lines(value))
    if value and isinstance(value, Mapping | list | tuple):
        yield key
        yield from (f"  {line}" for line in lines)
    else:
        yield f"{key} {lines[0]}"


def _key(key: str) -> str:
    is_plain = key.isascii() and key.isalpha() and key.lower() not in _WORDS
    return key if is_plain else _scalar(key)


def _scalar(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


_WORDS = frozenset(
    {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
)  # as older readers take them
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # YAML 1.2, 5.1 and 5.4
