"""[targets]: named ways of baking, and the one that every recipe has without naming it."""

from __future__ import annotations

from collections.abc import Collection

from imgbake.errors import did_you_mean
from imgbake.model import At, Target
from imgbake.recipe import options
from imgbake.recipe.files import Section
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import TargetTable
from imgbake.recipe.tasks import own_options

DEFAULT = "oci"  # the name and kind of the target that exists without being declared


def read_targets(
    section: Section, named: Collection[str], recipe: str, reading: Reading
) -> dict[str, Target]:
    """The targets that are right; the faults of the others are added.

    `named` are the targets that images name: without need the default one is not made, and its
    plugin not imported. `recipe` is the file that it is said to be in.
    """
    targets: dict[str, Target] = {}
    for name in section.tables:
        target = _target(name, section, reading)
        if target is not None:
            targets[name] = target
    if DEFAULT in named and DEFAULT not in section.tables:
        target = _default(At(recipe, ("targets", DEFAULT)), reading)
        if target is not None:
            targets[DEFAULT] = target
    return targets


def _target(name: str, section: Section, reading: Reading) -> Target | None:
    expanded = reading.table(section, name)
    if expanded is None:
        return None
    table, args = expanded
    at = section.at(name)
    kind = table.get("uses")
    if not isinstance(kind, str):
        message = f"'uses' {'is missing' if kind is None else 'must be a string'} in targets.{name}"
        reading.fault(at / "uses", message, _one_of(reading.kinds.target_kinds()))
        return None
    cls = reading.kinds.target(kind)
    if cls is None:
        hint = did_you_mean(kind, reading.kinds.target_kinds())
        reading.fault(at / "uses", f"there is no kind of target '{kind}'", hint)
        return None
    type_ = own_options(kind, cls, TargetTable)
    common = options.read(table, TargetTable, at, reading.faults, beside=(type_,))
    typed = options.read(table, type_, at, reading.faults, beside=(TargetTable,))
    if common is None or typed is None:
        return None
    return Target(name, at, kind, typed, reading.policy(common, at), args, reading.ungiven(args))


def _default(at: At, reading: Reading) -> Target | None:
    cls = reading.kinds.target(DEFAULT)
    if cls is None:
        kinds = reading.kinds.target_kinds()
        hint = f"install a plugin for it, or declare a target; {_one_of(kinds)}"
        reading.fault(At(at.file, ()), f"no plugin bakes '{DEFAULT}', which images without targets use", hint)
        return None
    typed = options.read({}, own_options(DEFAULT, cls, TargetTable), at, reading.faults)
    return Target(DEFAULT, at, DEFAULT, typed) if typed is not None else None


def _one_of(kinds: Collection[str]) -> str:
    return f"write uses = one of {', '.join(sorted(kinds))}" if kinds else "no kind of target is installed"
