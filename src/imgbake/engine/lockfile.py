"""imgbake.lock: what moves by itself, pinned. Base tags to digests, git refs to commits.

    [bases]
    "python:3.12-slim" = "sha256:…"

    [git]
    "https://git.example.com/shop.git#main" = "4b825dc6…"

A build reads it and never writes it; `imgbake lock` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from imgbake.contract import Pin
from imgbake.errors import BakeError, Problem, RecipeError, Where
from imgbake.files.regular import read_file

NAME = "imgbake.lock"
_HEADER = "# Written by `imgbake lock`. Commit it; `imgbake lock --upgrade` moves it.\n\n"


class Lock(msgspec.Struct, frozen=True):
    """The pins of a project by table and key."""

    tables: dict[str, dict[str, str]] = {}

    def pinned(self, table: str, key: str) -> str | None:
        """What this key of this table is pinned to."""
        return self.tables.get(table, {}).get(key)

    def pins(self) -> Iterable[Pin]:
        """Every pin, in the file's order."""
        for table, keys in self.tables.items():
            for key, value in keys.items():
                yield Pin(table, key, value)


def read(root: Path) -> Lock:
    """The lock of a project; empty when it has none. Raises BakeError when it can't be read."""
    path = root / NAME
    try:
        text = read_file(path)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise BakeError(f"can't read {NAME}: {error.strerror}") from None
    try:
        return Lock(msgspec.toml.decode(text, type=dict[str, dict[str, str]]))
    except (msgspec.ValidationError, ValueError) as error:
        hint = "it is written by `imgbake lock`: restore it, or delete it and lock again"
        raise RecipeError([Problem(f"not a lock file: {error}", Where(NAME), hint)]) from None


def write(root: Path, pins: Iterable[Pin]) -> None:
    """Writes the lock whole, sorted, by a rename. Raises BakeError."""
    import tomli_w

    tables: dict[str, dict[str, str]] = {}
    for pin in sorted(pins, key=lambda pin: (pin.table, pin.key)):
        tables.setdefault(pin.table, {})[pin.key] = pin.value
    beside = root / (NAME + ".new")
    try:
        beside.write_text(_HEADER + tomli_w.dumps(_plain(tables)), "utf-8")
        beside.replace(root / NAME)
    except OSError as error:
        raise BakeError(f"can't write {NAME}: {error.strerror}") from None


def _plain(tables: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {table: dict(keys) for table, keys in tables.items()}
