"""Everything that a command may need, imported beforehand."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys

from imgbake import plugins

_UNWANTED = frozenset({"__main__", "testing"})


def load_all() -> None:
    """Imports every module of ours and of plugins, but for those that tests are for."""
    found = plugins.installed()
    found.step_kinds()
    for name in ("imgbake", *sorted(found.packages())):
        _load_under(name)


def _load_under(name: str) -> None:
    for module in pkgutil.iter_modules(getattr(sys.modules.get(name), "__path__", ()), f"{name}."):
        if module.name.rpartition(".")[2] not in _UNWANTED:
            with contextlib.suppress(Exception, SystemExit):  # who needs it will say what is wrong with it
                importlib.import_module(module.name)
            _load_under(module.name)
