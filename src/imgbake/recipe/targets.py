"""[targets]: named ways of baking, and the one that every recipe has without naming it."""

from __future__ import annotations

from collections.abc import Collection

from imgbake.model import At, Target
from imgbake.recipe import options
from imgbake.recipe.files import Section
from imgbake.recipe.kinds import one_of, read_of_kind
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
    kinds, at = reading.kinds, section.at(name)
    read = read_of_kind(name, section, TargetTable, kinds.target, kinds.target_kinds, reading)
    if read is None:
        return None
    policy = reading.policy(read.common, at)
    if not read.is_right:
        return None
    return Target(name, at, read.kind, read.options, policy, read.args, reading.ungiven(read.args))


def _default(at: At, reading: Reading) -> Target | None:
    cls = reading.kinds.target(DEFAULT)
    if cls is None:
        kinds = reading.kinds.target_kinds()
        hint = "install a plugin for it, or declare a target; " + one_of("target", kinds)
        reading.fault(At(at.file, ()), f"no plugin bakes '{DEFAULT}', which images without targets use", hint)
        return None
    typed = options.read({}, own_options(DEFAULT, cls, TargetTable), at, reading.faults)
    return Target(DEFAULT, at, DEFAULT, typed) if typed is not None else None
