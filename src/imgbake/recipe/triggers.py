"""[triggers]: what is done when a tag of an image stream has moved."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from imgbake import digest
from imgbake.model import At, Recipe, Trigger
from imgbake.recipe import options
from imgbake.recipe.files import Section
from imgbake.recipe.kinds import read_of_kind
from imgbake.recipe.reading import Reading
from imgbake.recipe.streams import check_tag
from imgbake.recipe.tables import PlainTriggerTable, TriggerTable


def read_triggers(section: Section, recipe: Recipe, reading: Reading) -> dict[str, Trigger]:
    """The triggers, as far as they are right; the faults of the others are added."""
    found: dict[str, Trigger] = {}
    for name in section.tables:
        if not reading.is_table(section, name):
            continue
        read = _of_kind if "uses" in section.tables[name] else _plain
        trigger = read(name, section, reading)
        if trigger is not None:
            _check(trigger, recipe, reading)
            found[name] = trigger
    return found


def _of_kind(name: str, section: Section, reading: Reading) -> Trigger | None:
    kinds = reading.kinds
    read = read_of_kind(name, section, TriggerTable, kinds.trigger, kinds.trigger_kinds, reading)
    if read is None:
        return None
    trigger = _trigger(name, read.common, read.table, read.args, section.at(name), reading)
    return msgspec.structs.replace(trigger, uses=read.kind, options=read.options)


def _plain(name: str, section: Section, reading: Reading) -> Trigger | None:
    expanded = reading.table(section, name)
    if expanded is None:
        return None
    at = section.at(name)
    reading.expander.refuse_secrets(expanded[0], at, "a trigger")
    table, is_right = options.read_repaired(expanded[0], PlainTriggerTable, at, reading.faults)
    if is_right and table and not (table.build or table.run or table.distribute):
        hint = "add `build`, `run`, `distribute` or `uses`"
        reading.fault(at, f"the trigger '{name}' does nothing", hint, value=False)
    return None if table is None else _trigger(name, table, *expanded, at, reading)


def _trigger(
    name: str, table: TriggerTable, whole: dict[str, Any], args: tuple[str, ...], at: At, reading: Reading
) -> Trigger:
    """Secrets are in the digest by name alone: they are not put in here."""
    return Trigger(
        name,
        at,
        (table.on,) if isinstance(table.on, str) else table.on,
        () if isinstance(table.build, bool) else table.build,
        table.build is True,
        table.run,
        table.distribute,
        table.paused,
        table.config,
        digest=digest.of_bytes(msgspec.json.encode(whole, order="sorted")),
        missing=reading.ungiven(args),
    )


def _check(trigger: Trigger, recipe: Recipe, reading: Reading) -> None:
    at = trigger.at
    for index, text in enumerate(trigger.on):
        check_tag(text, at / "on" / index if len(trigger.on) > 1 else at / "on", reading)
    images = [f"{image.name}@{target}" for image in recipe.images.values() for target in image.targets]
    _known(trigger.build, at / "build", "image", {*recipe.images, *images}, reading)
    _known(trigger.run, at / "run", "task", recipe.tasks, reading)
    _known(trigger.distribute, at / "distribute", "distribution", recipe.distributions, reading)


def _known(wanted: tuple[str, ...], at: At, what: str, known: Collection[str], reading: Reading) -> None:
    for index, name in enumerate(wanted):
        if name not in known:
            reading.unknown(at / index, what, name, known)
