"""Runners, and the folders beside the store that they fill with what saves time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgbake.contract import Runner
from imgbake.errors import BakeError
from imgbake.plugins import Plugins

_FOLDER = "runners"


def runner(plugins: Plugins, kind: str, store: Path) -> Runner:
    """The runner of this kind. Raises BakeError when no plugin adds it."""
    cls: Any = plugins.runner(kind)
    if cls is None:
        raise BakeError(f"no plugin adds the runner '{kind}'", hint="see `imgbake plugins`")
    made: Runner = cls(store / _FOLDER / kind)
    return made


def used(plugins: Plugins, store: Path) -> Iterator[Runner]:
    """The runners that have a folder beside this store, and that can work here."""
    folder = store / _FOLDER
    for kind in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ():
        if plugins.runner(kind) is not None:
            found = runner(plugins, kind, store)
            if found.refusal() is None:
                yield found
