"""`imgbake lock`: writes down what moves by itself, so that builds stay with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import msgspec

from imgbake.app.opening import require_args
from imgbake.contract import Artifact, Pin, Pinnable
from imgbake.engine import lockfile
from imgbake.engine.context import Looking
from imgbake.engine.describing import Describing
from imgbake.engine.graph import Bake, Base, Node
from imgbake.engine.project import Project
from imgbake.engine.steps import step_of, target_of
from imgbake.errors import BakeError, UsageError, did_you_mean
from imgbake.model import Task
from imgbake.streams import PREFIX as STREAM


class Locked(msgspec.Struct, frozen=True):
    """What became of a pin: "added", "kept", "moved", or "dropped" when nothing uses it any more."""

    pin: Pin
    what: str
    before: str = ""


def lock(project: Project, names: tuple[str, ...], *, upgrade: bool) -> tuple[Locked, ...]:
    """Pins what is not pinned yet; with `upgrade`, moves all pins, or those that are named.

    A name is a git task's, a base's reference, or a key of the lock file. Raises UsageError for a
    name that is none, BakeError when something can't be asked.
    """
    old = {(pin.table, pin.key): pin for pin in project.lock.pins()}
    found: dict[tuple[str, str], Locked] = {}
    known: set[str] = set()
    for node in project.graph.nodes.values():
        for pin in _asked(node, project):
            aliases = {pin.key, node.id, node.id.partition(":")[2]}
            known |= aliases
            moves = upgrade and (not names or not aliases.isdisjoint(names))
            found[pin.table, pin.key] = _locked(pin, old, moves=moves)
    unknown = [name for name in names if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise UsageError(f"nothing that can be locked is named '{unknown[0]}'", hint=hint)
    dropped = [Locked(pin, "dropped") for key, pin in old.items() if key not in found]
    lockfile.write(project.root, [entry.pin for entry in found.values()])
    return (*found.values(), *dropped)


def _locked(now: Pin, old: dict[tuple[str, str], Pin], *, moves: bool) -> Locked:
    before = old.get((now.table, now.key))
    if before is None:
        return Locked(now, "added")
    if not moves or before.value == now.value:
        return Locked(before, "kept")
    return Locked(now, "moved", before.value)


def _asked(node: Node, project: Project) -> list[Pin]:
    """The same as `_current`. Raises MissingArguments when that may be why something can't be asked."""
    try:
        return list(_current(node, project))
    except BakeError:
        require_args(project, project.graph.closure([node.id]))
        raise


def _current(node: Node, project: Project) -> Iterator[Pin]:
    """What a node would use if nothing were locked, of all that moves by itself."""
    ctx = Looking(project, node).pinned_to(None)
    if isinstance(node.work, Base):
        if node.work.reference.startswith(STREAM):
            return  # a stream moves only when it is told to
        resolved = project.plugins.resolve(node.work.kind, node.work.reference, ctx)
        if resolved.volatile and resolved.artifact.digest:
            yield Pin("bases", node.work.reference, resolved.artifact.digest)
    elif isinstance(node.work, Task):
        step = step_of(node.work, project)
        pin = cast(Pinnable, step).pin(ctx) if hasattr(step, "pin") else None
        if pin is not None:
            yield pin
    elif isinstance(node.work, Bake) and node.work.image.description is not None:
        names = project.descriptions.told_by(node.work.image).images
        unknown = Artifact("container", facts={"config": {}})  # of the recipe: it can't be pinned
        below = dict.fromkeys(names, unknown)
        looking = Describing(project, node, target_of(node.work, project), below, ctx)
        project.descriptions.format(node.work.image).describe(project.descriptions.given, looking)
        yield from (Pin("bases", reference, digest) for reference, digest in looking.moving.items())
