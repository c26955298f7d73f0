"""The entry points that installed distributions have, read from the files in which pip leaves them.

`importlib.metadata` finds the same, but to load it takes as long as a whole build with nothing to do: it
brings a parser of e-mail. It is asked where Python looks for modules in other places than folders.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

_METADATA = (".dist-info", ".egg-info")


class EntryPoint(NamedTuple):
    """What a distribution offers under a name."""

    name: str
    value: str
    distribution: str = "unknown"  # its name and version

    @property
    def module(self) -> str:
        """The module of its value."""
        return self.value.partition(":")[0].partition("[")[0].strip()


def found(group: str) -> list[EntryPoint]:
    """All that are in a group."""
    if any(map(os.path.isfile, sys.path)):
        return _asked(group)
    seen: dict[str, list[EntryPoint]] = {}  # a distribution counts where it's found first
    for name, folder in _distributions():
        if name not in seen:
            seen[name] = _listed(folder, group)
    return [entry for entries in seen.values() for entry in entries]


def _asked(group: str) -> list[EntryPoint]:
    """What Python's own way finds."""
    from importlib.metadata import entry_points

    return [
        EntryPoint(each.name, each.value, f"{each.dist.name} {each.dist.version}" if each.dist else "unknown")
        for each in entry_points(group=group)
    ]


def _distributions() -> Iterator[tuple[str, str]]:
    """The name of each distribution that Python can see, and the folder of its metadata."""
    for place in sys.path:
        try:
            with os.scandir(place or ".") as files:
                found = sorted((file.name, file.path) for file in files if file.name.endswith(_METADATA))
        except OSError:
            continue
        for name, path in found:
            yield name.rpartition(".")[0].partition("-")[0].lower().replace(".", "_"), path


def _listed(folder: str, group: str) -> list[EntryPoint]:
    """The entry points of one distribution in this group."""
    listed = []
    section = ""
    for line in _lines(folder, "entry_points.txt"):
        if line.startswith("["):
            section = line.strip("[]")
        elif section == group and not line.startswith("#") and "=" in line:
            name, _, value = line.partition("=")
            listed.append((name.strip(), value.strip()))
    distribution = _distribution(folder) if listed else ""
    return [EntryPoint(name, value, distribution) for name, value in listed]


def _distribution(folder: str) -> str:
    """The name and version of a distribution."""
    lines = _lines(folder, "METADATA") or _lines(folder, "PKG-INFO")
    said = dict(line.split(": ", 1) for line in reversed(lines) if line.startswith(("Name: ", "Version: ")))
    return f"{said.get('Name', '')} {said.get('Version', '')}"


def _lines(folder: str, name: str) -> list[str]:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return [line.strip() for line in file]
    except OSError:
        return []
