"""[tasks]: the core's keys and the plugin's options of each, checked and put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from imgbake.errors import PluginError, did_you_mean
from imgbake.model import At, Task
from imgbake.recipe import options
from imgbake.recipe.files import Section
from imgbake.recipe.paths import in_project
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import TaskTable

SCRIPT = "script"  # the kind of a task that says what to run and no more

_Expanded = dict[str, tuple[dict[str, Any], tuple[str, ...]]]  # table and the arguments it reads, by name


def read_tasks(section: Section, reading: Reading) -> dict[str, Task]:
    """The tasks in the order of the recipe; those that are wrong without options, and their faults added."""
    by_kind: dict[str | None, _Expanded] = {}
    for name in section.tables:
        expanded = reading.table(section, name)
        if expanded is not None:
            kind = _kind(expanded[0], section.at(name), reading)
            by_kind.setdefault(kind, {})[name] = expanded
    tasks = _of_no_kind(by_kind.pop(None, {}), section, reading)
    for kind, tables in by_kind.items():
        assert kind is not None
        tasks.update(_of_kind(kind, tables, section, reading))
    return {name: tasks[name] for name in section.tables if name in tasks}


def own_options(kind: str, cls: type, core: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The options of a plugin class. Raises PluginError when one is a key of the core."""
    type_ = options.options_of(cls)
    shared = options.keys(type_) & options.keys(core)
    if shared:
        message = f"'{kind}' has options that belong to the core: {', '.join(sorted(shared))}"
        raise PluginError(cls.__module__.partition(".")[0], message, hint="give them other names")
    return type_


def _kind(table: Mapping[str, Any], at: At, reading: Reading) -> str | None:
    kind = table.get("uses", SCRIPT if "run" in table else None)
    if kind is None and (misspelt := _misspelt(table, reading)):
        key, hint = misspelt
        reading.fault(
            at / key, f"unknown key '{key}' in a task that says neither 'uses' nor 'run'", hint, value=False
        )
    elif kind is None:
        hint = f'add run = "...", or uses = one of {", ".join(sorted(reading.kinds.step_kinds()))}'
        reading.fault(at, f"'{at.path[-1]}' says neither what it uses nor what to run", hint, value=False)
    elif not isinstance(kind, str):
        reading.fault(at / "uses", "'uses' must be a string")
    elif reading.kinds.step(kind) is None:
        hint = did_you_mean(kind, reading.kinds.step_kinds())
        reading.fault(at / "uses", f"there is no kind of task '{kind}'", hint)
    else:
        return kind
    return None


def _misspelt(table: Mapping[str, Any], reading: Reading) -> tuple[str, str] | None:
    """The key that was probably meant to say what the task is, one that no kind has, and a suggestion."""
    from imgbake.recipe.diagnosis import meant  # only loaded for what is wrong

    known = options.keys(TaskTable)
    for key in table:
        if key in known:
            continue
        suggestion = meant(key, ("run", "uses"))
        if suggestion.startswith("did you mean") and not _is_an_option(key, reading):
            return key, suggestion
    return None


def _is_an_option(key: str, reading: Reading) -> bool:
    classes = (reading.kinds.step(kind) for kind in reading.kinds.step_kinds())
    return any(key in options.keys(options.options_of(cls)) for cls in classes if cls is not None)


def _of_kind(kind: str, tables: _Expanded, section: Section, reading: Reading) -> dict[str, Task]:
    cls = reading.kinds.step(kind)
    assert cls is not None  # `_kind` has asked
    type_ = own_options(kind, cls, TaskTable)
    plain = {name: table for name, (table, _) in tables.items()}
    commons = options.read_all(plain, TaskTable, section.at, reading.faults, beside=(type_,))
    typed = options.read_all(plain, type_, section.at, reading.faults, beside=(TaskTable,))
    tasks: dict[str, Task] = {}
    for name, (common, is_right) in commons.items():
        value, also_right = typed[name]
        if common is not None:
            task = _task(name, section.at(name), kind, common, value, tables[name][1], reading)
            _check(task, plain[name], section, reading)
            tasks[name] = task if is_right and also_right else _understood(task)
    return tasks


def _of_no_kind(tables: _Expanded, section: Section, reading: Reading) -> dict[str, Task]:
    """What can be understood of tasks whose kind is not known."""
    tasks: dict[str, Task] = {}
    for name, (table, args) in tables.items():
        core = {key: value for key, value in table.items() if key in options.keys(TaskTable)}
        common, _ = options.read_repaired(core, TaskTable, section.at(name), reading.faults)
        if common is not None:
            task = _task(name, section.at(name), "", common, None, args, reading)
            _check(task, table, section, reading)
            tasks[name] = _understood(task)
    return tasks


def _understood(task: Task) -> Task:
    """What a wrong task tells of its place among the others, so that this can be checked too."""
    from imgbake.recipe.repair import STAND_IN

    inputs, outputs = (
        [path for path in paths if STAND_IN not in path] for paths in (task.inputs, task.outputs)
    )
    return msgspec.structs.replace(task, options=None, inputs=tuple(inputs), outputs=tuple(outputs))


def _task(
    name: str,
    at: At,
    kind: str,
    common: TaskTable,
    typed: msgspec.Struct | None,
    args: tuple[str, ...],
    reading: Reading,
) -> Task:
    faults = reading.faults
    outputs = in_project(common.outputs, at / "outputs", "output", faults)
    for index, output in enumerate(outputs):
        if output == ".":
            reading.fault(
                at / "outputs" / index, "the whole project cannot be an output", "name a folder in it"
            )
    return Task(
        name,
        at,
        kind,
        typed,
        common.needs,
        common.after,
        in_project(common.inputs, at / "inputs", "input", faults),
        in_project(common.exclude, at / "exclude", "exclusion", faults),
        outputs,
        common.store,
        common.always,
        reading.policy(common, at),
        args,
        reading.ungiven(args),
    )


def _check(task: Task, table: Mapping[str, Any], section: Section, reading: Reading) -> None:
    """Adds faults for tasks that do not exist, and for secrets where the core would show them."""
    if reading.expander.has_secrets:
        for key in table.keys() & options.keys(TaskTable):
            reading.expander.refuse_secrets(table[key], task.at / key, f"'{key}' of a task")
    for key, named in (("needs", task.needs), ("after", task.after)):
        for index, name in enumerate(named):
            if name not in section.tables:
                reading.unknown(task.at / key / index, "task", name, section.tables)
