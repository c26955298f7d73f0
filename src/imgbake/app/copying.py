"""`imgbake copy`: a distribution without a recipe, of any image that a base can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from imgbake import plugins
from imgbake.app import streams
from imgbake.app.building import stoppable
from imgbake.app.distributing import Order, Outcome, Showing, carry
from imgbake.app.opening import Request, pointers_of
from imgbake.app.ways import Step, Way, look, way
from imgbake.engine import routes
from imgbake.engine.graph import Graph, base_node
from imgbake.engine.lockfile import Lock
from imgbake.engine.project import Project
from imgbake.engine.secrets import Secrets
from imgbake.errors import BakeError, Interrupted, UsageError
from imgbake.model import At, Destination, Distribution, Recipe
from imgbake.streams import names

_KIND = "container"  # of what has names that can be written on a command line
_LAYOUT = "oci"  # what a destination of the command line begins with that is a folder
_NOWHERE = At("", ())


class Copy(msgspec.Struct, frozen=True):
    """What to copy where. `said` are options of the destinations."""

    source: str
    destinations: tuple[str, ...]
    said: dict[str, Any] = {}
    atomic: bool = True
    force: bool = False
    verifies_all: bool = False
    key: str = ""  # under which it is remembered that all is there
    place: str = ""  # where
    file: Path = Path("imgbake.toml")  # that says where streams are, if it is there


def plan(copy: Copy, warn: Callable[[str], None]) -> tuple[Step, ...]:
    """What would be done. Asks the destinations, changes nothing."""
    with stoppable() as stop, _opened(copy, warn) as project:
        project.verifies_all = copy.verifies_all
        return look(project, _ways(project), stop, force=copy.force)


def copy(wanted: Copy, showing: Showing) -> Outcome:
    """Copies an image. Raises BakeError."""
    order = Order(
        Request(Path()),
        force=wanted.force,
        verifies_all=wanted.verifies_all,
        key=wanted.key,
        place=wanted.place,
    )
    with stoppable() as stop, _opened(wanted, showing.warn) as project:
        return carry(project, _ways(project), order, showing, stop)


def export(source: str, to: Path, form: str, file: Path, warn: Callable[[str], None]) -> str:
    """Writes the image of a stream into an OCI layout, whole, and returns its digest. Raises BakeError."""
    if form not in ("", _LAYOUT):
        hint = f"leave --format out: it is written as '{_LAYOUT}'"
        raise UsageError(f"{source} can't be exported as '{form}'", hint=hint)
    showing = Showing((), warn, lambda steps: None, lambda arrivals: ((), ""))
    outcome = copy(Copy(source, (f"{_LAYOUT}:{to}:{names.LATEST}",), file=file), showing)
    if outcome.report.was_interrupted:
        raise Interrupted
    for result in outcome.report.results.values():
        if result.outcome == "failed":
            raise BakeError(f"{source} was not exported: {result.error}")
    return outcome.arrivals[0].reference.rpartition("@")[2]


def _ways(project: Project) -> list[Way]:
    return [way(project.graph.nodes[name]) for name in project.graph.of_kind("publish")]


@contextmanager
def _opened(copy: Copy, warn: Callable[[str], None]) -> Iterator[Project]:
    """A project of nothing but this copy, whose state is thrown away."""
    found = plugins.installed()
    places = [_place(text, copy.said, found) for text in dict.fromkeys(copy.destinations)]
    root = Path.cwd()
    shelf, files = "", tuple[str, ...]()
    if copy.source.startswith(names.PREFIX):
        shelf, files = streams.address(copy.file), (str(copy.file.absolute()),)
    source = base_node(_KIND, copy.source, _NOWHERE)
    image = _last_word(copy.source)
    named = [(table, pointers_of(table, image, tags, found)) for table, tags in places]
    nodes = {source.id: source}
    nodes.update({node.id: node for node in routes.straight(source, image, named, atomic=copy.atomic)})
    recipe = Recipe(
        "", str(root), files, {}, {}, {}, {}, {},
        destinations={table.name: table for table, _ in places},
        distributions={"": Distribution("", _NOWHERE, (), (), copy.atomic)},
        shelf=shelf,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="imgbake-copy-") as state:
        project = Project(
            recipe, Graph(nodes), found,
            lock=Lock(), secrets=Secrets({}), environ=os.environ, commits={}, warn=warn, state=Path(state),
        )  # fmt: skip
        try:
            yield project
        finally:
            project.close()


def _place(text: str, said: Mapping[str, Any], found: plugins.Plugins) -> tuple[Destination, tuple[str, ...]]:
    """The destination that a text names, and the tags. Raises UsageError when no plugin knows it."""
    cls: Any
    for kind, cls in found.named_destinations():
        try:
            parsed = cls.parse(text, said)
        except BakeError as error:
            raise UsageError(error.message, hint=error.hint) from None
        if parsed is not None:
            options, tags = parsed
            return Destination(text, _NOWHERE, kind, options), tuple(tags)
    hint = "write a registry's reference, or oci:DIR:TAG"
    raise UsageError(f"nothing can be copied to '{text}'", hint=hint)


def _last_word(source: str) -> str:
    """What an image is called where a name is needed: `shop` of registry.example.com/team/shop:1."""
    if source.startswith(names.PREFIX):
        return names.parse(source).stream
    return source.partition("@")[0].rpartition("/")[2].partition(":")[0] or "image"
