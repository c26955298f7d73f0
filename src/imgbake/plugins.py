"""Finding plugins: by the names of their entry points, and importing only those that are used.

The name of an entry point in the group `imgbake` is a kind that the plugin adds, or a role: one of the
words in `_ROLES`, alone or with what it is for, as in `base-squashfs`. So a kind is found without
importing anything, and two plugins that add one kind are noticed before either runs.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pluggy

from imgbake import entry_points, hookspecs
from imgbake.contract import (
    Artifact,
    Destination,
    Format,
    ResolveContext,
    Resolved,
    Runner,
    Shelf,
    Step,
    Target,
    Trigger,
)
from imgbake.entry_points import EntryPoint
from imgbake.errors import BakeError, PluginError
from imgbake.events import Observer

GROUP = "imgbake"
_ROLES = frozenset({"base", "command", "copy", "observer", "shelf", "trigger"})


class Plugins:
    """The plugins of one run. Nothing is imported until a kind or a role is asked for."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        self._entries: dict[str, list[EntryPoint]] = {}
        for entry in entries:
            self._entries.setdefault(entry.name, []).append(entry)
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._loading = threading.RLock()  # nobody finds a plugin whose classes another thread collects
        self._steps: dict[str, type[Step]] = {}
        self._targets: dict[str, type[Target]] = {}
        self._runners: dict[str, type[Runner]] = {}
        self._formats: dict[str, type[Format]] = {}
        self._destinations: dict[str, type[Destination]] = {}
        self._shelves: dict[str, type[Shelf]] = {}
        self._triggers: dict[str, type[Trigger]] = {}

    def step(self, kind: str) -> type[Step] | None:
        """The class of a kind of task, or None when no plugin adds it."""
        if kind not in self._steps:
            self._load(kind)
        return self._steps.get(kind)

    def target(self, kind: str) -> type[Target] | None:
        """The class of a way of baking, or None when no plugin adds it."""
        if kind not in self._targets:
            self._load(kind)
        return self._targets.get(kind)

    def runner(self, kind: str) -> type[Runner] | None:
        """The class of a kind of runner, or None when no plugin adds it."""
        if kind not in self._runners:
            self._load(kind)
        return self._runners.get(kind)

    def format(self, kind: str) -> type[Format] | None:
        """The class of a kind of file that describes images, or None when no plugin adds it."""
        if kind not in self._formats:
            self._load(kind)
        return self._formats.get(kind)

    def destination(self, kind: str) -> type[Destination] | None:
        """The class of a kind of destination, or None when no plugin adds it."""
        if kind not in self._destinations:
            self._load(kind)
        return self._destinations.get(kind)

    def shelf(self, kind: str) -> Callable[[str, Callable[[], None]], Shelf] | None:
        """What makes shelves of addresses that begin with this kind, or None when no plugin does."""
        if kind not in self._shelves:
            self._load(f"shelf-{kind}")
        return self._shelves.get(kind)

    def trigger(self, kind: str) -> type[Trigger] | None:
        """The class of a kind of trigger, or None when no plugin adds it."""
        if kind not in self._triggers:
            self._load(f"trigger-{kind}")
        return self._triggers.get(kind)

    def trigger_kinds(self) -> Sequence[str]:
        """Every kind of trigger that is installed. Imports their plugins."""
        for kind in self._for("trigger"):
            self._load(f"trigger-{kind}")
        return sorted(self._triggers)

    def step_kinds(self) -> Sequence[str]:
        """Every kind of task that is installed. Imports every plugin."""
        self._load_all()
        return sorted(self._steps)

    def target_kinds(self) -> Sequence[str]:
        """Every way of baking that is installed. Imports every plugin."""
        self._load_all()
        return sorted(self._targets)

    def format_kinds(self) -> Sequence[str]:
        """Every kind of file that describes images. Imports every plugin."""
        self._load_all()
        return sorted(self._formats)

    def destination_kinds(self) -> Sequence[str]:
        """Every kind of destination that is installed. Imports every plugin."""
        self._load_all()
        return sorted(self._destinations)

    def base_kinds(self) -> Sequence[str]:
        """The kinds of artifact for which bases have plugins of their own. Imports nothing."""
        return self._for("base")

    def shelf_kinds(self) -> Sequence[str]:
        """What addresses of shelves may begin with. Imports nothing."""
        return self._for("shelf")

    def named_destinations(self) -> Sequence[tuple[str, type[Destination]]]:
        """The kinds of destination that a text of the command line may name."""
        for name in [name for name in self._entries if _role(name) == "copy"]:
            self._load(name)
        return [(kind, cls) for kind, cls in sorted(self._destinations.items()) if hasattr(cls, "parse")]

    def resolve(self, kind: str, reference: str, ctx: ResolveContext) -> Resolved:
        """Pins a base to a digest. Raises BakeError when nobody can, or it isn't there."""
        self._load_bases(kind)
        try:
            resolved = self._manager.hook.imgbake_resolve(kind=kind, reference=reference, ctx=ctx)
        except (BakeError, OSError):
            raise
        except Exception as error:
            raise PluginError("imgbake_resolve", f"failed on {reference!r}: {error!r}") from error
        if not isinstance(resolved, Resolved):
            hint = "see `imgbake plugins` for what is installed"
            raise BakeError(f"no plugin knows the base {reference!r} of kind {kind!r}", hint=hint)
        return resolved

    def base_config(self, artifact: Artifact, platform: str, ctx: ResolveContext) -> dict[str, Any] | None:
        """What a resolved base says of how it is run; None when nobody can tell. Raises BakeError."""
        self._load_bases(artifact.kind)
        try:
            found: dict[str, Any] | None = self._manager.hook.imgbake_base_config(
                artifact=artifact, platform=platform, ctx=ctx
            )
        except (BakeError, OSError):
            raise
        except Exception as error:
            name = "imgbake_base_config"
            raise PluginError(name, f"failed on {artifact.reference!r}: {error!r}") from error
        return found

    def base_facts(self, artifact: Artifact, ctx: ResolveContext) -> dict[str, Any]:
        """What is worth knowing of a resolved base; nothing when nobody can tell. Raises BakeError."""
        self._load_bases(artifact.kind)
        try:
            found: dict[str, Any] | None = self._manager.hook.imgbake_base_facts(artifact=artifact, ctx=ctx)
        except (BakeError, OSError):
            raise
        except Exception as error:
            name = "imgbake_base_facts"
            raise PluginError(name, f"failed on {artifact.reference!r}: {error!r}") from error
        return found or {}

    def observers(self) -> list[Observer]:
        """One of each observer that is installed."""
        return [cls() for cls in self._flat("observer", self._manager.hook.imgbake_observers)]

    def commands(self) -> list[tuple[str, Any]]:
        """The command groups that plugins add: name and `typer.Typer`."""
        return self._flat("command", self._manager.hook.imgbake_commands)

    def origins(self) -> dict[str, str]:
        """What each entry point names: kind or role to "module (distribution version)"."""
        return {
            name: ", ".join(f"{entry.value} ({entry.distribution})" for entry in entries)
            for name, entries in sorted(self._entries.items())
        }

    def packages(self) -> frozenset[str]:
        """The packages of the plugins that were imported, or their modules."""
        return frozenset(name.partition(".")[0] for name, _ in self._manager.list_name_plugin())

    def files(self) -> tuple[str, ...]:
        """The source files of the plugins that were imported."""
        names = self.packages()
        modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in names]
        return tuple(sorted({str(file) for module in modules if (file := getattr(module, "__file__", None))}))

    def _flat(self, role: str, hook: Callable[[], list[list[Any]]]) -> list[Any]:
        for name in self._entries:
            if _role(name) == role:
                self._load(name)
        return [item for items in hook() for item in items]

    def _for(self, role: str) -> Sequence[str]:
        """What entry points of this role say that they are for."""
        return sorted(name.partition("-")[2] for name in self._entries if name.startswith(f"{role}-"))

    def _load_bases(self, kind: str) -> None:
        """Those who resolve bases of any kind, and of this one."""
        self._load("base")
        self._load(f"base-{kind}")

    def _load_all(self) -> None:
        for name in self._entries:
            self._load(name)

    def _load(self, name: str) -> None:
        entries = self._entries.get(name, [])
        modules = sorted({entry.module for entry in entries})
        if len(modules) > 1 and _role(name) not in _ROLES:
            both = " and ".join(f"{entry.value} ({entry.distribution})" for entry in entries)
            raise PluginError(
                modules[0], f"the kind {name!r} is added twice, by {both}", hint="uninstall one"
            )
        with self._loading:
            for module in modules:
                if not self._manager.has_plugin(module):
                    self._register(module)

    def _register(self, module: str) -> None:
        try:
            plugin = importlib.import_module(module)
        except Exception as error:
            raise PluginError(module, f"can't be imported: {error!r}") from error
        self._manager.register(plugin, name=module)
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(module, str(error)) from error
        self._collect(module, getattr(plugin, "imgbake_steps", None), self._steps)
        self._collect(module, getattr(plugin, "imgbake_targets", None), self._targets)
        self._collect(module, getattr(plugin, "imgbake_runners", None), self._runners)
        self._collect(module, getattr(plugin, "imgbake_formats", None), self._formats)
        self._collect(module, getattr(plugin, "imgbake_destinations", None), self._destinations)
        self._collect(module, getattr(plugin, "imgbake_shelves", None), self._shelves)
        self._collect(module, getattr(plugin, "imgbake_triggers", None), self._triggers)

    def _collect(
        self, module: str, hook: Callable[[], Iterable[type[Any]]] | None, into: dict[str, type[Any]]
    ) -> None:
        """Adds what this plugin's hook hands in. Calls it alone: the others have been asked before."""
        try:
            classes = tuple(hook()) if hook else ()
        except Exception as error:
            raise PluginError(module, f"its hook failed: {error!r}") from error
        for cls in classes:
            kind = getattr(cls, "kind", "")
            if not kind or not isinstance(getattr(cls, "version", None), int):
                raise PluginError(module, f"{cls.__name__} needs a `kind` and a whole-number `version`")
            if into.setdefault(kind, cls) is not cls:
                other = f"{into[kind].__module__}.{into[kind].__name__}"
                raise PluginError(module, f"the kind {kind!r} is added twice, also by {other}")


def installed() -> Plugins:
    """The plugins of this Python environment."""
    return Plugins(entry_points.found(GROUP))


def _role(name: str) -> str:
    """`base` of `base`, and of `base-squashfs`."""
    return name.partition("-")[0]
