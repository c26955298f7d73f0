"""The nodes that take images to destinations: content first, names after. Pure.

    pack:IMAGE@TARGET                                 brings an image here that its target keeps elsewhere
    deliver:IMAGE@TARGET->DESTINATION                 brings an image's content there; or a stream's, where
                                                      IMAGE@TARGET is stream:NAME:TAG
    publish:DISTRIBUTION:IMAGE@TARGET->DESTINATION    moves the names that mean it

A delivery comes after the image's test. A publish of an atomic distribution comes after all of its
deliveries, wherever they go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from imgbake.engine.graph import IMAGE, Bake, Delivery, Node, Pack, Publication, base_node
from imgbake.errors import BakeError
from imgbake.model import Destination, Distribution, Recipe, Route, Target
from imgbake.recipe.faults import Fault
from imgbake.streams import PREFIX as STREAM

PointersOf = Callable[[Destination, str, Sequence[str]], tuple[str, ...]]
"""The names that a publish moves at a destination, of an image and its tags. Raises BakeError."""


def add(
    recipe: Recipe, pointers_of: PointersOf, packs: Callable[[Target], bool], nodes: dict[str, Node]
) -> Iterator[Fault]:
    """Adds the nodes of all distributions, and gives what is wrong with them.

    `packs` tells whether images of a target must be packed first.
    """
    owners: dict[str, str] = {}  # names to the images that they will mean
    for distribution in recipe.distributions.values():
        made: list[Node] = []
        for route in distribution.routes:
            source = _source(route, distribution, recipe, packs, nodes)
            if source is None:
                continue  # its base is wrong, as has been said
            image, name = _names(route)
            destination = recipe.destinations[route.destination]
            nodes.setdefault(source.id, source)
            delivery = _delivery(image, name, source, destination, nodes)
            nodes[delivery.id] = delivery
            is_known = not (distribution.missing or destination.missing)
            try:
                pointers = pointers_of(destination, name, distribution.tags) if is_known else ()
            except BakeError as error:
                yield Fault(distribution.at / "tags", error.message, error.hint, value=True)
                continue
            yield from _clashes(pointers, image, distribution, owners)
            made.append(_publish(distribution, image, delivery, destination, pointers))
        if distribution.atomic:
            made = [_after_all(node, [each.needs[0] for each in made]) for node in made]
        nodes.update({node.id: node for node in made})


def straight(
    source: Node, image: str, destinations: Iterable[tuple[Destination, tuple[str, ...]]], *, atomic: bool
) -> Iterator[Node]:
    """The nodes that take what one node makes to destinations, each with the names that move there."""
    what = source.id.partition(":")[2]
    made: list[Node] = []
    for table, pointers in destinations:
        name = f"{what}->{table.name}"
        work = Delivery(table, image, source.id)
        yield Node(f"deliver:{name}", "deliver", table.at, work, (source.id,))
        then = Publication("", table, f"deliver:{name}", pointers)
        made.append(Node(f"publish:{name}", "publish", table.at, then, (f"deliver:{name}",)))
    deliveries = [node.needs[0] for node in made]
    yield from (_after_all(node, deliveries) if atomic else node for node in made)


def _source(
    route: Route,
    distribution: Distribution,
    recipe: Recipe,
    packs: Callable[[Target], bool],
    nodes: Mapping[str, Node],
) -> Node | None:
    """The node whose artifact is taken there; None when there is none, which has been said."""
    if route.image.startswith(STREAM):
        return base_node(route.kind, route.image, distribution.at / "images")
    source = nodes.get(f"{IMAGE}{route.image}@{route.target}")
    return _pack(source) if source and packs(recipe.targets[route.target]) else source


def _names(route: Route) -> tuple[str, str]:
    """What an image is called in the graph, and what a destination calls it."""
    if route.image.startswith(STREAM):
        from imgbake.streams import names

        return route.image, names.parse(route.image).stream
    return f"{route.image}@{route.target}", route.image


def _pack(image: Node) -> Node:
    assert isinstance(image.work, Bake)
    name = f"pack:{image.id.removeprefix(IMAGE)}"
    return Node(
        name, "pack", image.at, Pack(image.work, image.id), (image.id,), (), image.policy, image.missing
    )


def _delivery(
    image: str, name: str, source: Node, destination: Destination, nodes: Mapping[str, Node]
) -> Node:
    work = Delivery(destination, name, source.id)
    test = f"test:{image}"
    after = (test,) if test in nodes else ()
    own, missing = f"deliver:{image}->{destination.name}", destination.missing
    return Node(own, "deliver", destination.at, work, (work.of,), after, destination.policy, missing)


def _publish(
    distribution: Distribution,
    image: str,
    delivery: Node,
    destination: Destination,
    pointers: tuple[str, ...],
) -> Node:
    work = Publication(distribution.name, destination, delivery.id, pointers, distribution.args)
    missing = tuple(dict.fromkeys(delivery.missing + distribution.missing))
    name = f"publish:{distribution.name}:{image}->{destination.name}"
    return Node(name, "publish", distribution.at, work, (delivery.id,), (), destination.policy, missing)


def _after_all(node: Node, deliveries: Sequence[str]) -> Node:
    after = tuple(name for name in dict.fromkeys(deliveries) if name not in node.needs)
    return msgspec.structs.replace(node, after=after)


def _clashes(
    pointers: Sequence[str], image: str, distribution: Distribution, owners: dict[str, str]
) -> Iterator[Fault]:
    """Names that would mean two images, so that the last one to come would win."""
    for pointer in pointers:
        owner = owners.setdefault(pointer, image)
        if owner != image:
            message = f"'{pointer}' would mean both {owner} and {image}"
            hint = (
                "give each a place of its own: a destination that ends with a slash holds one for each image"
            )
            yield Fault(distribution.at, message, hint)
