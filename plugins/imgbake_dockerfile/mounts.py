"""What `RUN --mount=…` mounts: comma separated `key=value`, quoted as in CSV."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from imgbake_dockerfile.located import one_of

_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SWITCHES = {"readonly", "ro", "readwrite", "rw", "required"}
_NAMES = {"src": "source", "dst": "target", "destination": "target"}
_KEYS = _SWITCHES | {"type", "from", "source", "target", "size", "id", "sharing", "mode", "uid", "gid", "env"}


class BadMount(ValueError):
    """A mount that can't be read."""


class Mount(msgspec.Struct, frozen=True):
    """One mount. What is None can't be told yet: a variable decides it."""

    kind: str | None = "bind"
    origin: str = ""  # the stage or image of `from`; empty for the context, or for none
    source: str | None = ""
    target: str | None = ""
    id: str | None = ""
    required: bool = False  # a secret or agent that the build can't do without

    @property
    def reads_context(self) -> bool:
        """Can the command see files of the context through it?"""
        return self.kind in ("bind", None) and not self.origin


def origin(text: str) -> str:
    """The `from` of a mount, which no variable can decide. Raises BadMount."""
    found = ""
    for field in _fields(text):
        key, _, value = field.partition("=")
        if key.lower() == "from":
            if "$" in value[:-1]:
                raise BadMount(f"'{value}': no variable can stand in `from`; name a stage FROM it instead")
            found = value
    return found


def mount(text: str, expand: Callable[[str], str | None]) -> Mount:
    """A mount, its values expanded; `expand` gives None for what can't be told. Raises BadMount."""
    found: dict[str, str | None] = {}
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = _NAMES.get(key.lower(), key.lower())
        if key not in _KEYS:
            raise BadMount(f"'{key}' is no part of a mount: known are {', '.join(sorted(_KEYS))}")
        if not equals and key not in _SWITCHES:
            raise BadMount(f"'{field}' needs a value: write {key}=…")
        found[key] = expand(value) if equals else "true"
    return _checked(found, origin(text))


def _checked(found: dict[str, str | None], origin: str) -> Mount:
    kind = found.get("type", "bind")
    kind = kind.lower() if kind is not None else None
    if kind is not None and kind not in _KINDS:
        raise BadMount(f"'{kind}' is no kind of mount: write {one_of(_KINDS)}")
    if kind == "secret" and origin:
        raise BadMount("a secret comes from the builder, so it has no `from`")
    return Mount(
        kind,
        origin,
        found.get("source", ""),
        found.get("target", ""),
        found.get("id", ""),
        found.get("required") in ("true", "1", "t", "T", "TRUE", "True"),
    )


def _fields(text: str) -> list[str]:
    fields: list[str] = []
    rest: str | None = text
    while rest is not None:
        if rest.startswith('"'):
            field, rest = _quoted(rest)
        else:
            field, comma, after = rest.partition(",")
            if '"' in field:
                raise BadMount(f"'{field}': a quote can only stand around a whole key=value")
            rest = after if comma else None
        fields.append(field)
    if fields == [""]:
        raise BadMount("--mount= needs a value, like type=bind,source=src,target=/src")
    return fields


def _quoted(text: str) -> tuple[str, str | None]:
    """The field in quotes at the start, and what follows its comma."""
    field, place = "", 1
    while True:
        end = text.find('"', place)
        if end < 0:
            raise BadMount(f"'{text}': the quote is not closed")
        field += text[place:end]
        place = end + 2
        after = text[end + 1 : place]
        if after == '"':
            field += '"'
        elif after == ",":
            return field, text[place:]
        elif not after:
            return field, None
        else:
            raise BadMount(f"'{text}': a quote can only stand around a whole key=value")
