"""What the readers of a recipe's sections share while one recipe is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from imgbake.contract import Destination, Format, Step, Target, Trigger
from imgbake.model import At, Policy
from imgbake.recipe import names
from imgbake.recipe.duration import seconds
from imgbake.recipe.expand import Expander
from imgbake.recipe.faults import Fault
from imgbake.recipe.files import Section
from imgbake.recipe.tables import PolicyKeys

_DURATION = 'write seconds, or text such as "90s", "5m" or "1h30m"'
_PLAIN = Policy()

T = TypeVar("T")


class Kinds(Protocol):
    """The kinds of task and target that are installed. Asking for a class imports its plugin."""

    def step(self, kind: str) -> type[Step] | None:
        """The class of this kind of task, None when no plugin has it."""

    def target(self, kind: str) -> type[Target] | None:
        """The class of this kind of target, None when no plugin has it."""

    def format(self, kind: str) -> type[Format] | None:
        """The class of this kind of file that describes images, None when no plugin has it."""

    def destination(self, kind: str) -> type[Destination] | None:
        """The class of this kind of destination, None when no plugin has it."""

    def trigger(self, kind: str) -> type[Trigger] | None:
        """The class of this kind of trigger, None when no plugin has it."""

    def trigger_kinds(self) -> Sequence[str]:
        """Every kind of trigger. Asked for errors only: it may import every plugin."""

    def base_kinds(self) -> Sequence[str]:
        """The kinds of artifact for which bases have plugins of their own. Imports nothing."""

    def shelf_kinds(self) -> Sequence[str]:
        """What addresses of shelves may begin with. Imports nothing."""

    def step_kinds(self) -> Sequence[str]:
        """Every kind of task. Asked for errors only: it may import every plugin."""

    def target_kinds(self) -> Sequence[str]:
        """Every kind of target. Asked for errors only: it may import every plugin."""

    def format_kinds(self) -> Sequence[str]:
        """Every kind of file that describes images. It may import every plugin."""

    def destination_kinds(self) -> Sequence[str]:
        """Every kind of destination. Asked for errors only: it may import every plugin."""


class Reading:
    """One recipe being read: where its faults go, what its text may read, what is installed."""

    def __init__(
        self,
        faults: list[Fault],
        sources: Mapping[str, str],
        expander: Expander,
        kinds: Kinds,
        missing: frozenset[str],
        pools: Mapping[str, int],
        *,
        is_whole: bool = True,
    ) -> None:
        self.faults = faults
        self.sources = sources
        self.expander = expander
        self.kinds = kinds
        self.missing = missing  # arguments that nobody gave
        self.pools = pools
        self.is_whole = is_whole  # could all of the recipe's files be read and parsed?
        self._incomplete: list[tuple[At, object]] = []

    def fault(self, at: At, message: str, hint: str = "", *, value: bool = True) -> None:
        """Adds a fault, by default of the value at this place."""
        self.faults.append(Fault(at, message, hint, value))

    def unknown(
        self, at: At, what: str, name: str, known: Iterable[str], hint: str = "", *, value: bool = True
    ) -> None:
        """Adds a fault for a name that nothing of its kind has. The hint is for when no name is near."""
        near = names.suggest(name, known) or hint
        self.faults.append(Fault(at, f"there is no {what} '{name}'", near, value, unknown=True))

    def is_table(self, section: Section, name: str) -> bool:
        """Is the value of this name a table? Adds a fault if not."""
        table = section.tables[name]
        if not isinstance(table, dict):
            from imgbake.recipe.toml_words import found

            message = f"'{name}' must be a table, not {found(table)}"
            self.fault(section.at(name), message, f"write [{section.name}.{name}]")
        return isinstance(table, dict)

    def table(self, section: Section, name: str) -> tuple[dict[str, Any], tuple[str, ...]] | None:
        """One table of a section with its text expanded, and the arguments that it reads."""
        if not self.is_table(section, name):
            return None
        table = section.tables[name]
        return self.expand(table, section.at(name)) if section.expands else (table, ())

    def expand(self, value: T, at: At, params: Mapping[str, str] | None = None) -> tuple[T, tuple[str, ...]]:
        """A value with its text expanded, and the arguments that it reads."""
        expanded, read = self.expander.expand(value, at, params)
        if not self.missing.isdisjoint(read):
            self._incomplete.append((at, expanded))
        return expanded, read

    def ungiven(self, args: tuple[str, ...]) -> tuple[str, ...]:
        """Those of these arguments that nobody gave."""
        return tuple(name for name in args if name in self.missing) if args else ()

    def settled(self) -> tuple[Fault, ...]:
        """All faults, each once; those of values that wait for an argument say so instead."""
        if not self.faults:
            return ()
        from imgbake.recipe.repair import STAND_IN  # only a wrong recipe was repaired

        real = (fault for fault in self.faults if STAND_IN not in fault.message)
        if not self.is_whole:
            real = (fault for fault in real if not fault.unknown and "{{" not in fault.message)
        return tuple(dict.fromkeys(self._or_missing(fault) for fault in real))

    def policy(self, keys: PolicyKeys, at: At) -> Policy:
        """How a node is run, with unknown pools and durations that are none added to the faults."""
        if keys.timeout is None and not keys.retries and not keys.resources:
            return _PLAIN
        for name, amount in keys.resources.items():
            place = at / "resources" / name
            if name not in self.pools:
                self.unknown(place, "pool", name, self.pools, _declare(name, amount), value=False)
            elif amount > self.pools[name]:
                message = f"the pool '{name}' holds {self.pools[name]}, so nobody can take {amount} of it"
                self.fault(place, message)
        timeout = (
            self.duration(keys.timeout, at / "timeout", zero=False) if keys.timeout is not None else None
        )
        return Policy(timeout, keys.retries, keys.resources)

    def check_env(self, env: Mapping[str, str], at: At) -> None:
        """Adds faults for names that no environment variable can have."""
        for name in env:
            if not name or "=" in name:
                self.fault(at / name, f"'{name}' cannot be the name of an environment variable", value=False)

    def duration(self, value: float | str, at: At, *, zero: bool = True) -> float:
        """A duration in seconds; with a fault added, 0, when it is none."""
        found = seconds(value)
        if found is None or not (found or zero):
            self.fault(at, f"'{value}' is not a duration{'' if zero else ' above zero'}", _DURATION)
        return found or 0

    def _or_missing(self, fault: Fault) -> Fault:
        """The fault; or that an argument is missing, if the value at fault is only its name so far."""
        for at, table in self._incomplete:
            if (
                fault.at
                and not fault.piece
                and fault.at.file == at.file
                and fault.at.path[: len(at.path)] == at.path
            ):
                value = _value_at(table, fault.at.path[len(at.path) :])
                name = next((name for name in self.missing if f"{{{{ {name} }}}}" in value), None)
                if name is not None:
                    message = f"the argument '{name}' is missing, and what is written here depends on it"
                    return Fault(fault.at, message, f"give it: --arg {name}=VALUE", value=True)
        return fault


def _value_at(table: object, path: Sequence[str | int]) -> str:
    """The text at this path; empty when there is none."""
    for key in path:
        if isinstance(table, list):
            table = dict(enumerate(table))
        if not isinstance(table, dict) or key not in table:
            return ""
        table = table[key]
    return table if isinstance(table, str) else ""


def _declare(name: str, amount: int) -> str:
    return f"declare it: pools = {{ {name} = {amount} }} in [project]"
