"""[components]: each with its parameters put in, and in the order in which an image needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from imgbake.errors import did_you_mean
from imgbake.model import At, Component, Scalar
from imgbake.recipe import names, options
from imgbake.recipe.args import text_of
from imgbake.recipe.copies import file_copy
from imgbake.recipe.faults import Fault
from imgbake.recipe.files import Section
from imgbake.recipe.order import cycles, needed_first
from imgbake.recipe.paths import one_in_project
from imgbake.recipe.reading import Reading
from imgbake.recipe.setup import read_setup
from imgbake.recipe.tables import ComponentTable

_OUTSIDE = ("params", "needs")  # keys in which a component's own parameters cannot be read
_BESIDE_DOCUMENT = frozenset({"document", *_OUTSIDE})  # keys that may stand beside a document
_KEPT = (
    "document",
    "files",
    "env",
    "user",
    "workdir",
    "shell",
    "caches",
)  # keys whose text everybody can read


class _Param(msgspec.Struct, frozen=True):
    """A parameter's default, expanded, and the arguments that it reads."""

    default: str
    args: tuple[str, ...]


class _Declared(msgspec.Struct, frozen=True):
    """A component as the recipe has it: without the parameters that an image gives."""

    at: At
    table: dict[str, Any]
    params: dict[str, _Param]
    needs: tuple[str, ...]
    args: tuple[str, ...]  # that `needs` reads


class _Use(msgspec.Struct, frozen=True):
    """A component in an image's list."""

    name: str
    at: At
    params: dict[str, str] = {}


class Components:
    """Every component of a recipe. All are checked, used or not."""

    def __init__(self, section: Section, tasks: Section, reading: Reading) -> None:
        self._section = section
        self._tasks = tasks
        self._reading = reading
        self._declared: dict[str, _Declared] = {}
        self._made: dict[tuple[object, ...], tuple[Component | None, tuple[str, ...]]] = {}
        for name in section.tables:
            if reading.is_table(section, name):
                self._declared[name] = self._declare(name)
                self._make(_Use(name, section.at(name)))
        self._check_needs()

    def of_image(
        self, listed: tuple[str | dict[str, Scalar], ...], at: At
    ) -> tuple[tuple[Component, ...], tuple[str, ...]]:
        """The components of an image, after what they need, and the arguments that they read.

        `listed` is the image's `components`, `at` its place. Adds the faults of the list.
        """
        uses = self._uses(listed, at)
        needs = {name: declared.needs for name, declared in self._declared.items()}
        made = [self._make(uses.get(name, _Use(name, at))) for name in needed_first(uses, needs)]
        args = dict.fromkeys(arg for _, read in made for arg in read)
        return tuple(component for component, _ in made if component), tuple(args)

    def _declare(self, name: str) -> _Declared:
        at = self._section.at(name)
        table = self._section.tables[name]
        needs, args = self._reading.expand(table.get("needs"), at / "needs")
        params = table.get("params")
        return _Declared(
            at,
            table,
            self._params(params, at / "params") if isinstance(params, dict) else {},
            tuple(need for need in needs if isinstance(need, str)) if isinstance(needs, list) else (),
            args,
        )

    def _params(self, params: Mapping[str, Any], at: At) -> dict[str, _Param]:
        found: dict[str, _Param] = {}
        for name, value in params.items():
            if name == "use" or not names.is_name(name):
                self._reading.fault(at / name, f"'{name}' cannot be the name of a parameter", value=False)
            elif isinstance(value, str | int | float):
                expanded, args = self._reading.expand(value, at / name)
                found[name] = _Param(text_of(expanded, at / name, self._reading.sources), args)
        return found

    def _check_needs(self) -> None:
        needs = {name: declared.needs for name, declared in self._declared.items()}
        for name, needed in needs.items():
            for index, other in enumerate(needed):
                if other not in self._section.tables:
                    place = self._section.at(name) / "needs" / index
                    self._reading.unknown(place, "component", other, self._section.tables)
        for cycle in cycles(needs):
            way = " -> ".join([*cycle, cycle[0]])
            place = self._section.at(cycle[0]) / "needs"
            self._reading.fault(place, f"components need each other in a circle: {way}", value=False)

    def _uses(self, listed: tuple[str | dict[str, Scalar], ...], at: At) -> dict[str, _Use]:
        uses: dict[str, _Use] = {}
        places: dict[str, At] = {}  # by the folded name
        for index, item in enumerate(listed):
            use = self._use({"use": item} if isinstance(item, str) else item, at / index)
            if use is None:
                continue
            first = places.setdefault(names.fold(use.name), use.at)
            if first != use.at:
                message = f"component '{use.name}' is already in this image, listed"
                hint = "an image has each component once: remove one, or write two components"
                self._reading.faults.append(Fault(use.at, message, hint, value=True, other=first))
            elif use.name not in self._section.tables:
                self._reading.unknown(use.at, "component", use.name, self._section.tables)
            else:
                uses[use.name] = use
        return uses

    def _use(self, item: Mapping[str, Scalar], at: At) -> _Use | None:
        name = item.get("use")
        if not isinstance(name, str):
            self._reading.fault(at, "'use' must be the name of a component", 'write { use = "name", ... }')
            return None
        declared = self._declared.get(name)
        params: dict[str, str] = {}
        for key, value in item.items():
            if declared is None or key == "use":
                continue
            if key in declared.params:
                params[key] = text_of(value, at / key, self._reading.sources)
            else:
                message = f"component '{name}' has no parameter '{key}'"
                hint = did_you_mean(key, declared.params) or f"declare it in components.{name}.params"
                self._reading.fault(at / key, message, hint, value=False)
        return _Use(name, at, params)

    def _make(self, use: _Use) -> tuple[Component | None, tuple[str, ...]]:
        key = (use.name, *sorted(use.params.items()))
        if key not in self._made:
            self._made[key] = self._with_params(use.name, use.params)
        return self._made[key]

    def _with_params(self, name: str, given: Mapping[str, str]) -> tuple[Component | None, tuple[str, ...]]:
        declared, reading = self._declared[name], self._reading
        defaults = {key: param for key, param in declared.params.items() if key not in given}
        params = {**{key: param.default for key, param in defaults.items()}, **given}
        inside = {key: value for key, value in declared.table.items() if key not in _OUTSIDE}
        inside, read = reading.expand(inside, declared.at, params)
        for key in _KEPT:
            what = f"'{key}' of a component"
            reading.expander.refuse_secrets(inside.get(key), declared.at / key, what)
        whole = {**declared.table, **inside}
        table, _ = options.read_repaired(whole, ComponentTable, declared.at, reading.faults)
        component = self._component(name, table, declared.at, params) if table else None
        args = [*declared.args, *(arg for param in defaults.values() for arg in param.args), *read]
        args += table.secrets if table else ()
        return component, tuple(dict.fromkeys(args))

    def _component(self, name: str, table: ComponentTable, at: At, params: dict[str, str]) -> Component:
        self._reading.check_env(table.env, at / "env")
        if table.document:
            self._check_alone(name, at)
        return Component(
            name,
            at,
            tuple(
                file_copy(file, at / "files" / index, self._tasks, self._reading)
                for index, file in enumerate(table.files)
            ),
            table.env,
            _commands(table.build),
            _commands(table.validate),
            _commands(table.test),
            read_setup(table, at, self._reading),
            params,
            self._document(table.document, at / "document"),
        )

    def _document(self, source: str, at: At) -> str:
        """The path of a document in the project, or a name that only a target knows."""
        is_path = source and ":" not in source
        return one_in_project(source, at, "document", self._reading.faults) if is_path else source

    def _check_alone(self, name: str, at: At) -> None:
        for key in self._declared[name].table.keys() - _BESIDE_DOCUMENT:
            hint = "write it in the document, or as another component"
            self._reading.fault(at / key, f"a component that is a document has no '{key}'", hint, value=False)


def _commands(commands: str | tuple[str, ...]) -> tuple[str, ...]:
    return (commands,) if isinstance(commands, str) else commands
