"""Is a node up to date? Decided by its fingerprint, once everything before it is done. Reads only."""

from __future__ import annotations

from typing import Literal

import msgspec

from imgbake.contract import Artifact, Part
from imgbake.engine import fingerprint
from imgbake.engine.context import Looking
from imgbake.engine.graph import Node
from imgbake.engine.ledger import Record
from imgbake.engine.project import Project
from imgbake.engine.steps import Work
from imgbake.files.tree import Watch
from imgbake.model import Task

NEVER_BUILT = "never built"
_REASONS = 3  # that are told; `imgbake explain` tells all


class Verdict(msgspec.Struct, frozen=True):
    """What is to be done with a node, and why.

    "cached": its artifact is in place. "restore": it can be put back. "run": it must be made.
    """

    action: Literal["cached", "restore", "run"]
    fingerprint: str
    parts: tuple[Part, ...]
    seen: Watch  # what was looked at for the parts
    why: tuple[str, ...] = ()
    artifact: Artifact | None = None  # unless it must be made
    is_volatile: bool = False  # must be asked again in every build
    is_recorded: bool = False  # the ledger says the same already
    doubt: str = ""  # what was written while it ran
    proof: tuple[str, ...] = ()  # paths that were looked at to see whether what was made is in place


def judge(node: Node, work: Work, project: Project, *, force: bool) -> Verdict:
    """Decides. Raises BakeError when the node's inputs can't be read."""
    ctx = Looking(project, node)
    with project.files.watching() as seen:
        parts = (*work.parts(ctx), *ctx.noted)
    last = project.ledger.last(node.id)
    always = _always_runs(node, parts)
    verdict = Verdict("run", fingerprint.of(parts), parts, seen, is_volatile=ctx.is_volatile or always)
    if force:
        return _with(verdict, why=("forced",))
    if (standing := getattr(work, "standing", None)) is not None:
        artifact, why = standing(ctx)
        is_recorded = artifact is not None and last is not None and last.fingerprint == verdict.fingerprint
        action = "run" if artifact is None else "cached"
        return _with(verdict, action=action, artifact=artifact, why=why, is_recorded=is_recorded)
    if always:
        return _with(verdict, why=("it names no inputs and no outputs, so it always runs",))
    with project.files.watching() as proof:
        if last is not None and last.fingerprint == verdict.fingerprint:
            verdict = _as_before(verdict, node, work, last)
        else:
            verdict = _as_remembered(verdict, node, work, project, last)
    return _with(verdict, proof=tuple(proof))


def reasons(last: Record | None, parts: tuple[Part, ...]) -> tuple[str, ...]:
    """Why a node that did not run with these parts must run: the few most telling changes."""
    if last is None:
        return (NEVER_BUILT,)
    found = [str(change) for change in fingerprint.changes(last.parts, parts)]
    more = len(found) - _REASONS
    return (*found[:_REASONS], *([f"and {more} more"] if more > 0 else []))


def _as_before(verdict: Verdict, node: Node, work: Work, last: Record) -> Verdict:
    if last.doubt:
        return _with(verdict, why=(f"{last.doubt} was written while it ran",))
    artifact = last.artifact
    if work.is_there(artifact):
        return _with(verdict, action="cached", artifact=artifact, is_recorded=True)
    gone = "its outputs are missing or were changed" if artifact.tree else "what it made is gone"
    if _is_determined(node, verdict) and work.may_restore(artifact):
        return _with(verdict, action="restore", artifact=artifact, why=(gone,), is_recorded=True)
    return _with(verdict, why=(gone,))


def _as_remembered(
    verdict: Verdict, node: Node, work: Work, project: Project, last: Record | None
) -> Verdict:
    """The node's last run had other inputs; but an earlier one, or another clone's, may have had these."""
    why = reasons(last, verdict.parts)
    known = project.remembered(verdict.fingerprint) if _is_determined(node, verdict) else None
    if known is not None and isinstance(node.work, Task) and known.tree is None:
        known = None  # what it did besides writing files was undone by its last run with other inputs
    if known is None:
        return _with(verdict, why=why)
    if work.is_there(known):
        return _with(verdict, action="cached", artifact=known, why=why)
    if work.may_restore(known):
        return _with(verdict, action="restore", artifact=known, why=why)
    return _with(verdict, why=why)


def _is_determined(node: Node, verdict: Verdict) -> bool:
    """Does the node say what it is made of?

    One that names no inputs at all is made again when its outputs are gone, as make would: nothing
    says that they would be the same.
    """
    if not isinstance(node.work, Task):
        return node.kind != "base"
    told = ("input ", "needs ", "commit", "env ", "tool ", "checksum")
    return any(part.label.startswith(told) for part in verdict.parts)


def _always_runs(node: Node, parts: tuple[Part, ...]) -> bool:
    task = node.work
    if not isinstance(task, Task):
        return False
    silent = not (task.inputs or node.outputs or node.needs)
    own = any(not part.label.startswith(("kind", "arg ", "option ", "project")) for part in parts)
    return task.always or (silent and not own)


def _with(verdict: Verdict, **changes: object) -> Verdict:
    return msgspec.structs.replace(verdict, **changes)
