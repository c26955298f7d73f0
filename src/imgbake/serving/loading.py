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
        for module in pkgutil.walk_packages(getattr(sys.modules[name], "__path__", ()), f"{name}."):
            if _UNWANTED.isdisjoint(module.name.split(".")):
                with contextlib.suppress(Exception):  # who needs it will say what is wrong with it
                    importlib.import_module(module.name)
