"""The work of deliveries and publishes: what destinations are asked and told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from imgbake.contract import Artifact, Cargo, Destination, Foreseeing, Part
from imgbake.engine import settled
from imgbake.engine.context import Looking, Working
from imgbake.engine.graph import Delivery, Node, Publication
from imgbake.engine.parts import arg_parts, option_parts
from imgbake.engine.pointers import Move
from imgbake.engine.project import Project, Standing
from imgbake.errors import BakeError, Interrupted, PluginError, StepError
from imgbake.model import Destination as DestinationTable

NOT_THERE = "not there yet"


class _Outside:
    """What both kinds share: they make nothing here, so there is nothing here to look for or to restore."""

    is_local = False

    def is_there(self, artifact: Artifact) -> bool:
        return True

    def may_restore(self, artifact: Artifact) -> bool:
        return False

    def restore(self, artifact: Artifact, ctx: Working) -> bool:
        return False


@contextmanager
def _retried() -> Iterator[None]:
    """Makes what a destination refuses a failure of the step, which is tried again as the recipe says."""
    try:
        yield
    except (StepError, Interrupted, PluginError):
        raise
    except BakeError as error:
        raise StepError(error.message, hint=error.hint) from error


class DeliverWork(_Outside):
    """Brings an image's content to a destination."""

    def __init__(self, node: Node, delivery: Delivery, project: Project, done: dict[str, Artifact]) -> None:
        self._node, self._delivery, self._project, self._done = node, delivery, project, done
        self._destination = destination_of(delivery.destination, project)

    def parts(self, ctx: Looking) -> list[Part]:
        _look_again(self._destination, ctx)
        table = self._delivery.destination
        found = [Part("kind", f"{self._destination.kind} {self._destination.version}")]
        found += arg_parts(table.args, self._project)
        found += option_parts(table.options)
        return [*found, Part(f"needs {self._delivery.of}", self._done[self._delivery.of].digest)]

    def standing(self, ctx: Looking) -> Standing:
        """What is there of the image. Nothing counts when all of it is to be read back."""
        return _planned(self._project, self._node.id) or self.ask(ctx)

    def ask(self, ctx: Looking) -> Standing:
        """The same, asked now."""
        if self._project.verifies_all:
            return None, ("to be read back",)
        found = self._destination.find(cargo_of(self._node, self._done), ctx)
        self._require_movable(found.reference if found else "", ctx)
        return found, () if found is not None else (NOT_THERE,)

    def run(self, ctx: Working) -> Artifact:
        with _retried():
            cargo = cargo_of(self._node, self._done)
            if ctx.force or self._project.verifies_all:  # then it was not asked
                looking = Looking(self._project, self._node)
                found = self._destination.find(cargo, looking)
                self._require_movable(found.reference if found else "", looking)
            made = self._destination.deliver(cargo, ctx)
            if self._project.verifies_all:
                self._verify(cargo, made, ctx)
            return made

    def _verify(self, cargo: Cargo, made: Artifact, ctx: Working) -> None:
        try:
            self._destination.verify(cargo, made, ctx)
        except Interrupted:
            raise
        except BakeError as error:
            error.hint = error.hint or "-B looks for every part there, and brings what is missing"
            raise

    def _require_movable(self, reference: str, ctx: Looking) -> None:
        """Raises BakeError when a name that is to mean the image can't be moved."""
        if isinstance(self._destination, Foreseeing):
            for pointer in self._project.names.get(self._node.id, ()):
                self._destination.require_movable(pointer, reference, ctx)


class PublishWork(_Outside):
    """Moves the names that mean an image at a destination."""

    def __init__(self, node: Node, work: Publication, project: Project, done: dict[str, Artifact]) -> None:
        self._node, self._work, self._project, self._done = node, work, project, done
        self._destination = destination_of(work.destination, project)

    def parts(self, ctx: Looking) -> list[Part]:
        _look_again(self._destination, ctx)
        delivered = self._done[self._work.delivery]
        return [
            Part("kind", f"publish {self._destination.kind} {self._destination.version}"),
            *(Part("option pointers", pointer) for pointer in self._work.pointers),
            Part(f"needs {self._work.delivery}", delivered.reference),
        ]

    def standing(self, ctx: Looking) -> Standing:
        """Whether all names mean the image already."""
        found = _planned(self._project, self._node.id) or self.ask(ctx)
        if found[0] is not None:
            self._settle(ctx)
        return found

    def ask(self, ctx: Looking) -> Standing:
        """The same, asked now."""
        delivered, why = self._done[self._work.delivery], []
        for pointer in self._work.pointers:
            current = self._destination.current(pointer, ctx)
            if current != delivered.reference:
                why.append(f"{pointer} is {short(current)}" if current else f"{pointer} is new")
        return (None, tuple(why)) if why else (self._artifact(()), ())

    def run(self, ctx: Working) -> Artifact:
        with _retried():
            moved = [pointer for pointer in self._work.pointers if self._move(pointer, ctx)]
            self._settle(ctx)
            return self._artifact(moved)

    def _move(self, pointer: str, ctx: Working) -> bool:
        """Moves one name, unless it means the image already."""
        wanted = self._done[self._work.delivery].reference
        before = self._destination.current(pointer, Looking(self._project, self._node))
        if before == wanted:
            return False
        names = (self._work.distribution, self._work.destination.name)
        self._project.pointers.moving(Move(*names, pointer, before, wanted, time.time()))
        self._destination.publish(pointer, wanted, ctx)
        now = self._destination.current(pointer, Looking(self._project, self._node))
        if now != wanted:
            raise StepError(
                f"{pointer} was moved, and means {short(now) or 'nothing'} now", hint="run it again"
            )
        ctx.log(f"{pointer} -> {short(wanted)}")
        return True

    def _settle(self, ctx: Looking | Working) -> None:
        """Notes the question by which the next run can see that all is still as it is now."""
        if not hasattr(self._destination, "question"):
            return
        delivered = self._done[self._work.delivery]
        cargo = cargo_of(self._project.graph.nodes[self._work.delivery], self._done)
        asked = self._destination.question(cargo, delivered, self._work.pointers, ctx)
        self._project.questions[self._node.id] = None if asked is None else settled.question(*asked)

    def _artifact(self, moved: Sequence[str]) -> Artifact:
        delivered = self._done[self._work.delivery]
        facts = {
            "pointers": list(self._work.pointers),
            "moved": list(moved),
            "reference": delivered.reference,
        }
        return Artifact("publication", delivered.digest, ", ".join(self._work.pointers), facts)


def take_back(move: Move, node: Node, project: Project, ctx: Working) -> bool:
    """Lets a name mean again what it meant before a move; False when it does already.

    Raises BakeError when somebody else has moved it since, or the destination refuses.
    """
    assert isinstance(node.work, Publication)
    destination = destination_of(node.work.destination, project)
    now = means_now(move, node, project)
    if now != move.before and move.before:
        destination.publish(move.pointer, move.before, ctx)
    elif now != move.before:
        destination.withdraw(move.pointer, ctx)
    project.pointers.undone(move)
    return now != move.before


def means_now(move: Move, node: Node, project: Project) -> str:
    """What a name that is to be taken back means now. Raises BakeError when somebody else has moved it."""
    assert isinstance(node.work, Publication)
    destination = destination_of(node.work.destination, project)
    now = destination.current(move.pointer, Looking(project, node))
    if now not in (move.after, move.before):
        hint = "it was left alone: move it by hand, if that is meant"
        raise BakeError(f"{move.pointer} means {short(now) or 'nothing'}, which is not from here", hint=hint)
    return now


def cargo_of(delivery: Node, done: Mapping[str, Artifact]) -> Cargo:
    """What a delivery brings."""
    assert isinstance(delivery.work, Delivery)
    return Cargo(delivery.work.image, done[delivery.work.of])


def destination_of(table: DestinationTable, project: Project) -> Destination:
    """The plugin's destination of a table."""
    cls: Any = project.plugins.destination(table.uses)
    assert cls is not None  # an unknown kind is an error of the recipe
    made: Destination = cls(table.options)
    return made


def short(reference: str) -> str:
    """A reference for people: the start of its digest, if it ends with one."""
    _, at, digest = reference.rpartition("@")
    return f"{digest[:19]}…" if at and digest.startswith("sha256:") else reference


def _look_again(destination: Destination, ctx: Looking) -> None:
    """Has every run ask a destination, unless it can be asked in short."""
    if not hasattr(destination, "question"):
        ctx.volatile()


def _planned(project: Project, node: str) -> Standing | None:
    """What the plan found out about a node, which counts once."""
    said = project.standing.pop(node, None)
    if isinstance(said, BakeError):
        raise said
    return said
