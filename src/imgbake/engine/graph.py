"""The recipe as a graph of nodes: what there is to do, and what must come before what. Pure.

    base:REF            an image's base, resolved to a digest (base:ami:REF for another artifact kind)
    task:NAME           a task
    image:NAME@TARGET   an image, baked by one target
    test:NAME@TARGET    the test phase of that image, on a fresh instance
    deliver:IMAGE->DEST, publish:DISTRIBUTION:IMAGE->DEST    its way to a destination, see `routes`

A node `needs` another when the other's outcome is in its fingerprint, and comes `after` it when only
the order matters: because the recipe says so, or because it reads a file that the other writes. In
the second case the file's content decides, so an output that nobody reads rebuilds nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from imgbake.engine.writers import Writers
from imgbake.errors import BakeError, did_you_mean
from imgbake.files import glob
from imgbake.model import At, Destination, FileCopy, Image, Policy, Recipe, Target, Task
from imgbake.recipe.faults import Fault
from imgbake.recipe.order import cycles

_FILES_OF_TASK = "task:"
IMAGE = "image:"


class Base(msgspec.Struct, frozen=True):
    """What an image starts from, before it is resolved."""

    kind: str  # of artifact: "container", "ami"
    reference: str


class Bake(msgspec.Struct, frozen=True):
    """An image and the target that bakes it."""

    image: Image
    target: Target
    base: str  # the id of the node whose artifact it starts from; empty for an image that a file describes


class Test(msgspec.Struct, frozen=True):
    """The test phase of a baked image."""

    bake: Bake
    of: str  # the id of the image's node


class Pack(msgspec.Struct, frozen=True):
    """A baked image that its target keeps elsewhere, brought here for deliveries."""

    bake: Bake
    of: str  # the id of the image's node


class Delivery(msgspec.Struct, frozen=True):
    """The content of an image on its way to a destination."""

    destination: Destination
    image: str
    of: str  # the id of the node whose artifact it is


class Publication(msgspec.Struct, frozen=True):
    """The names that mean an image at a destination."""

    distribution: str
    destination: Destination
    delivery: str  # the id of the delivery's node
    pointers: tuple[str, ...]
    args: tuple[str, ...] = ()  # that say what they are called


class Told(msgspec.Struct, frozen=True):
    """What the file that describes an image tells before tasks have run."""

    reads: tuple[str, ...] = ()  # globs of what its build may see
    missing: tuple[str, ...] = ()  # arguments that it needs and nobody gave
    images: tuple[str, ...] = ()  # of the recipe, that it stands on


MADE = frozenset({"task", "image", "test"})  # kinds of nodes: what a build makes,
BROUGHT = frozenset({"deliver", "publish"})  # and what a distribution does with it


class Node(msgspec.Struct, frozen=True):
    """Something that costs time, and what it stands on."""

    id: str
    kind: str  # "base", "task", "image", "test", "pack", "deliver", "publish"
    at: At
    work: Task | Base | Bake | Test | Pack | Delivery | Publication
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    policy: Policy = Policy()
    missing: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[str, ...]:
        """Every node that must be done first."""
        return self.needs + self.after


class Graph(msgspec.Struct, frozen=True):
    """Nodes by id, each after all that it stands on."""

    nodes: dict[str, Node]

    def closure(self, goals: Iterable[str]) -> tuple[str, ...]:
        """The goals and everything that they stand on, in the graph's order."""
        wanted: set[str] = set()
        todo = list(goals)
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo.extend(self.nodes[name].before)
        return tuple(name for name in self.nodes if name in wanted)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """The ids of all nodes of one kind."""
        return tuple(name for name, node in self.nodes.items() if node.kind == kind)


def base_node(
    kind: str, reference: str, at: At, after: tuple[str, ...] = (), missing: tuple[str, ...] = ()
) -> Node:
    """The node that finds out what a reference to an artifact of a kind means."""
    name = f"base:{reference}" if kind == "container" else f"base:{kind}:{reference}"
    return Node(name, "base", at, Base(kind, reference), after=after, missing=missing)


def folder_of(task: str) -> str:
    """The folder that belongs to one task alone, relative to the project."""
    return f".imgbake/tasks/{task}"


def build(
    recipe: Recipe,
    outputs_of: Callable[[Task], tuple[str, ...]],
    artifact_of: Callable[[Target], str],
    image_outputs_of: Callable[[Image, Target], tuple[str, ...]] = lambda image, target: (),
    told_by: Callable[[Image], Told] = lambda image: Told(),
    add_routes: Callable[[dict[str, Node]], Iterable[Fault]] = lambda nodes: (),
) -> tuple[Graph, tuple[Fault, ...]]:
    """The graph of a recipe, and what is wrong with it.

    `outputs_of` tells all that a task writes, `artifact_of` the artifact kind that a target makes,
    `image_outputs_of` the folders that a target writes for an image, `told_by` what the file says that
    describes an image. `add_routes` adds the nodes that take images to destinations, and returns what is
    wrong with these. With faults the graph holds what could be understood.
    """
    outputs = {task.name: outputs_of(task) for task in recipe.tasks.values()}
    writers = Writers(outputs)
    faults = list(writers.clashes(recipe.tasks))
    nodes = {f"task:{task.name}": _task(task, outputs[task.name], writers) for task in recipe.tasks.values()}
    for image in recipe.images.values():
        if image.description is not None:
            _add_described(image, recipe, told_by(image), artifact_of, writers, nodes, faults)
            continue
        for name in image.targets:
            if name in recipe.targets:
                _add_image(image, recipe.targets[name], recipe, artifact_of, writers, nodes, faults)
    for name, node in list(nodes.items()):
        if isinstance(node.work, Bake):
            places = image_outputs_of(node.work.image, node.work.target)
            nodes[name] = msgspec.structs.replace(node, outputs=places) if places else node
    faults += _image_clashes(nodes, writers)
    faults += add_routes(nodes)
    ordered = _order(nodes)
    if len(ordered) < len(nodes):
        waiting = {name: node.before for name, node in nodes.items() if name not in ordered}
        faults += [_cycle_fault(cycle, nodes) for cycle in cycles(waiting)]
    return Graph(ordered), tuple(faults)


def _task(task: Task, outputs: tuple[str, ...], writers: Writers) -> Node:
    needs = tuple(f"task:{name}" for name in task.needs)
    ordered = dict.fromkeys(f"task:{name}" for name in task.after)
    ordered.update(dict.fromkeys(f"task:{name}" for name in writers.of(task.inputs) if name != task.name))
    after = tuple(name for name in ordered if name not in needs)
    return Node(f"task:{task.name}", "task", task.at, task, needs, after, task.policy, task.missing, outputs)


def _add_image(
    image: Image,
    target: Target,
    recipe: Recipe,
    artifact_of: Callable[[Target], str],
    writers: Writers,
    nodes: dict[str, Node],
    faults: list[Fault],
) -> None:
    """Adds the nodes of one image and target: base, image, and test if it has one."""
    kind = artifact_of(target)
    reference = image.base.get(kind, image.base.get("", ""))
    if reference.startswith(IMAGE):
        base = _image_base(image, target, reference, recipe, artifact_of, faults)
        if base is None:
            return
    else:
        after = tuple(f"task:{name}" for name in dict.fromkeys(writers.of(_paths(reference))))
        lacking = tuple(name for name in image.missing if f"{{{{ {name} }}}}" in reference)
        node = base_node(kind, reference, image.at / "base", after, lacking)
        base = nodes.setdefault(node.id, node).id
    bake = Bake(image, target, base)
    name = f"image:{image.name}@{target.name}"
    missing = tuple(dict.fromkeys(image.missing + target.missing))
    policy = image.policy if image.policy != Policy() else target.policy
    needs = (base, *_tasks(image.needs))
    after = tuple(task for task in _sources(image, writers) if task not in needs)
    nodes[name] = Node(name, "image", image.at, bake, needs, after, policy, missing)
    if any(component.test for component in image.components):
        test = f"test:{image.name}@{target.name}"
        nodes[test] = Node(test, "test", image.at, Test(bake, name), (name,), (), policy, missing)


def _add_described(
    image: Image,
    recipe: Recipe,
    told: Told,
    artifact_of: Callable[[Target], str],
    writers: Writers,
    nodes: dict[str, Node],
    faults: list[Fault],
) -> None:
    """Adds the nodes of an image that a file describes, one for each target."""
    tasks = _tasks(image.needs)
    after = tuple(task for task in _tasks(dict.fromkeys(writers.of(told.reads))) if task not in tasks)
    faults += _unknown(image, told, recipe)
    for target in (recipe.targets[name] for name in image.targets if name in recipe.targets):
        name = f"image:{image.name}@{target.name}"
        missing = tuple(dict.fromkeys(image.missing + target.missing + told.missing))
        policy = image.policy if image.policy != Policy() else target.policy
        bake = Bake(image, target, "")
        below = (
            _image_base(image, target, f"{IMAGE}{each}", recipe, artifact_of, faults) for each in told.images
        )
        needs = (*tasks, *filter(None, below))
        nodes[name] = Node(name, "image", image.at, bake, needs, after, policy, missing)


def _unknown(image: Image, told: Told, recipe: Recipe) -> Iterator[Fault]:
    """Images that a described one stands on, and that are not there."""
    for name in told.images:
        if name not in recipe.images:
            hint = did_you_mean(name, recipe.images) or "an image is a table [images.NAME]"
            message = f"image '{image.name}' stands on '{name}', which is not there"
            yield Fault(at=image.at, message=message, hint=hint)


def _tasks(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"task:{name}" for name in names)


def _image_clashes(nodes: Mapping[str, Node], writers: Writers) -> Iterator[Fault]:
    """Folders of images that another image or a task writes too, or that an image would copy into itself."""
    seen: list[tuple[str, Node]] = []
    for node in nodes.values():
        if not isinstance(node.work, Bake):
            continue
        for place in node.outputs:
            at = node.work.target.at
            for other in [f"task:{name}" for name in writers.of((place,))]:
                message = f"{node.id} and {other} both write '{place}'"
                yield Fault(at=at, message=message, hint="give each a folder of its own")
            for there, before in seen:
                if glob.overlaps(place, there):
                    message = f"{before.id} and {node.id} both write '{place}'"
                    yield Fault(at=at, message=message, hint="declare a target for each, with another folder")
            for copy in (copy for component in node.work.image.components for copy in component.files):
                if _copies(copy, place):
                    message = f"{node.id} would copy '{place}', which it writes itself"
                    yield Fault(at=copy.at, message=message, hint=f'add exclude = ["{place}"]')
            seen.append((place, node))


def name_clashes(
    nodes: Mapping[str, Node], names_of: Callable[[Image, Target], tuple[str, ...]]
) -> Iterator[Fault]:
    """Images that would take a name from another where targets of one kind keep them, or can have none there.

    One image may be baked under a name by several targets: each may be for an engine of its own.
    """
    owners: dict[tuple[str, str], tuple[str, Image]] = {}
    for node in nodes.values():
        if not isinstance(node.work, Bake):
            continue
        image, target = node.work.image, node.work.target
        try:
            names = names_of(image, target)
        except BakeError as error:
            message = f"{node.id} can't be kept by its name: {error.message}"
            hint = f"{error.hint}; or say in [targets.{target.name}] how it is called"
            yield Fault(image.at, message, hint)
            continue
        for name in names:
            owner, other = owners.setdefault((target.uses, name), (node.id, image))
            if other.name != image.name:
                message = f"{node.id} would take the name '{name}' from {owner}"
                hint = "declare a target for each, with a name of its own"
                yield Fault(at=image.at, message=message, hint=hint, other=other.at)


def _copies(copy: FileCopy, place: str) -> bool:
    """Would a component copy something below this folder?"""
    if copy.source.startswith(_FILES_OF_TASK) or glob.Matcher((), copy.exclude).excluded(place):
        return False
    return glob.overlaps(copy.source, place)


def _paths(reference: str) -> tuple[str, ...]:
    """What a base of the form SCHEME:PATH or SCHEME:PATH:TAG may name in the project; nothing for another."""
    _, _, named = reference.partition(":")
    if not named:
        return ()
    path = glob.normal(named)
    return (path, path.rpartition(":")[0] or path)


def _sources(image: Image, writers: Writers) -> tuple[str, ...]:
    """The tasks whose files go into an image."""
    found: dict[str, None] = {}
    for component in image.components:
        if component.document:
            found.update(dict.fromkeys(f"task:{name}" for name in writers.of([component.document])))
        for copy in component.files:
            if copy.source.startswith(_FILES_OF_TASK):
                found[copy.source] = None
            else:
                found.update(dict.fromkeys(f"task:{name}" for name in writers.of([copy.source])))
    return tuple(found)


def _image_base(
    image: Image,
    target: Target,
    reference: str,
    recipe: Recipe,
    artifact_of: Callable[[Target], str],
    faults: list[Fault],
) -> str | None:
    """The node of the image that this one stands on: baked by the same target, or by one of its kind."""
    parent = recipe.images.get(reference.removeprefix(IMAGE))
    if parent is None or not recipe.targets.keys() >= set(parent.targets):
        return None  # said when the recipe was read
    kind = artifact_of(target)
    fitting = [name for name in parent.targets if artifact_of(recipe.targets[name]) == kind]
    if target.name in fitting:
        return f"image:{parent.name}@{target.name}"
    if len(fitting) == 1:
        return f"image:{parent.name}@{fitting[0]}"
    how = "by none" if not fitting else f"by several ({', '.join(fitting)})"
    message = f"image '{image.name}' stands on '{parent.name}', which is baked {how} that makes a {kind}"
    hint = f"give '{parent.name}' the target '{target.name}'"
    faults.append(Fault(at=image.at / "base", message=message, hint=hint))
    return None


def _order(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes, each after what it stands on, without those for which no order exists."""
    waiting: dict[str, int] = {}
    dependents: dict[str, list[str]] = {}
    ready: list[str] = []
    for name, node in nodes.items():
        before = [other for other in node.before if other in nodes]
        for other in before:
            dependents.setdefault(other, []).append(name)
        if before:
            waiting[name] = len(before)
        else:
            ready.append(name)
    ordered: dict[str, Node] = {}
    for name in ready:  # grows while it is read
        ordered[name] = nodes[name]
        for dependent in dependents.get(name, ()):
            waiting[dependent] -= 1
            if not waiting[dependent]:
                ready.append(dependent)
    return ordered


def _cycle_fault(cycle: tuple[str, ...], nodes: Mapping[str, Node]) -> Fault:
    names = " -> ".join([*cycle, cycle[0]])
    links = [_link(nodes[name], other) for name, other in itertools.pairwise([*cycle, cycle[0]])]
    return Fault(at=nodes[cycle[0]].at, message=f"dependency cycle: {names}", hint="; ".join(links))


def _link(node: Node, other: str) -> str:
    how = "needs" if other in node.needs else "comes after, or reads what is written by,"
    return f"{node.id} {how} {other}"
