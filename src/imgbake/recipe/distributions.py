"""[destinations] and [distributions]: where finished images go, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imgbake.model import At, Destination, Distribution, Image, Recipe, Route
from imgbake.recipe import names, options
from imgbake.recipe.files import Section
from imgbake.recipe.kinds import read_of_kind
from imgbake.recipe.reading import Reading
from imgbake.recipe.tables import DestinationTable, DistributionTable
from imgbake.streams import PREFIX as STREAM


def read_destinations(section: Section, reading: Reading) -> dict[str, Destination]:
    """The destinations that are right; the faults of the others are added."""
    found: dict[str, Destination] = {}
    kinds = reading.kinds
    for name in section.tables:
        args = (DestinationTable, kinds.destination, kinds.destination_kinds, reading)
        read = read_of_kind(name, section, *args)
        if read is not None:
            at = section.at(name)
            _refuse_secrets(read.table, at, "destination", reading)
            policy = reading.policy(read.common, at)
            missing = reading.ungiven(read.args)
            if read.is_right:
                found[name] = Destination(name, at, read.kind, read.options, policy, read.args, missing)
    return found


def read_distributions(
    section: Section, images: Section, destinations: Section, recipe: Recipe, reading: Reading
) -> dict[str, Distribution]:
    """The distributions, as far as they are right, their names looked up in the recipe as far as it is read.

    `images` and `destinations` have all that are declared, the recipe those that are right.
    """
    found: dict[str, Distribution] = {}
    for name in section.tables:
        expanded = reading.table(section, name)
        if expanded is None:
            continue
        at = section.at(name)
        _refuse_secrets(expanded[0], at, "distribution", reading)
        table, _ = options.read_repaired(expanded[0], DistributionTable, at, reading.faults)
        if table is None:
            continue
        _check_names(table, at, images, destinations, reading)
        routes = tuple(_routes(table, at, recipe, reading))
        args = expanded[1]
        missing = reading.ungiven(args)
        found[name] = Distribution(name, at, routes, table.tags, table.atomic, args, missing)
    return found


def _refuse_secrets(table: Mapping[str, object], at: At, what: str, reading: Reading) -> None:
    """Where images go is shown in plans and reports."""
    for key, value in table.items():
        reading.expander.refuse_secrets(value, at / key, f"'{key}' of a {what}")


def _check_names(
    table: DistributionTable, at: At, images: Section, destinations: Section, reading: Reading
) -> None:
    for index, name in enumerate(table.images):
        image = name.partition("@")[0]
        if name.startswith(STREAM):
            from imgbake.recipe.streams import check_base

            check_base(name, at / "images" / index, reading)
        elif image not in images.tables:
            hint = names.suggest(image, images.tables)
            reading.fault(at / "images" / index, f"there is no image '{image}'", hint)
        if name in table.images[:index]:
            reading.fault(at / "images" / index, f"the image '{name}' is listed twice")
    for index, name in enumerate(table.to):
        if name not in destinations.tables:
            hint = names.suggest(name, destinations.tables)
            reading.fault(at / "to" / index, f"there is no destination '{name}'", hint)
        elif name in table.to[:index]:
            reading.fault(at / "to" / index, f"the destination '{name}' is listed twice")


def _routes(table: DistributionTable, at: At, recipe: Recipe, reading: Reading) -> Iterator[Route]:
    """Each image to each destination that takes its kind of artifact."""
    known = [name for name in table.to if name in recipe.destinations]
    is_known = len(known) == len(table.to)  # else nobody can tell who takes nothing
    used: set[str] = set()
    for index, name in enumerate(table.images):
        place = at / "images" / index
        if name.startswith(STREAM):
            ways = list(_of_stream(name, known, place, recipe, reading))
            used.update(route.destination for route in ways)
            yield from ways
            continue
        image = recipe.images.get(name.partition("@")[0])
        if image is None:
            is_known = False
            continue
        is_known &= all(target in recipe.targets for target in image.targets)
        targets = list(_targets(image, name.partition("@")[2], place, recipe, reading))
        taken = {}
        for destination in known:
            fitting = [target for target in targets if _takes(destination, target, recipe, reading)]
            taken[destination] = fitting
            if len(fitting) > 1:
                message = f"'{destination}' would take '{name}' from several targets: {', '.join(fitting)}"
                reading.fault(place, message, f"name one: {image.name}@{fitting[0]}")
        if is_known and targets and not any(taken.values()):
            made = ", ".join(sorted({_artifact(target, recipe, reading) for target in targets}))
            reading.fault(place, f"no destination takes '{name}', which is baked into: {made}")
        used.update(destination for destination, fitting in taken.items() if fitting)
        yield from (Route(image.name, fitting[0], where) for where, fitting in taken.items() if fitting)
    for index, name in enumerate(table.to):
        if used and is_known and name not in used:
            reading.fault(at / "to" / index, f"'{name}' takes none of the images", "leave it out")


def _of_stream(
    name: str, known: Sequence[str], place: At, recipe: Recipe, reading: Reading
) -> Iterator[Route]:
    """A tag or an image of a stream to each destination. Only the stream knows of which kind it is; what
    the recipe says of a tag comes first."""
    from imgbake.recipe.streams import declared_kind

    kind = declared_kind(name, recipe.streams)
    kinds = {where: _kind_at(where, kind, recipe, reading) for where in known}
    if known and not any(kinds.values()):
        reading.fault(place, f"no destination takes '{name}', which is of the kind '{kind}'")
    yield from (Route(name, "", where, each) for where, each in kinds.items() if each)


def _kind_at(destination: str, wanted: str, recipe: Recipe, reading: Reading) -> str:
    """The kind of artifact that a destination takes, empty when it isn't the one that is wanted."""
    cls = reading.kinds.destination(recipe.destinations[destination].uses)
    return next((kind for kind in sorted(cls.accepts) if wanted in ("", kind)), "") if cls else ""


def _targets(image: Image, wanted: str, place: At, recipe: Recipe, reading: Reading) -> Iterator[str]:
    if wanted and wanted not in image.targets:
        message = f"the image '{image.name}' has no target '{wanted}'"
        reading.fault(place, message, names.suggest(wanted, image.targets))
    yield from (name for name in image.targets if name in recipe.targets and wanted in ("", name))


def _takes(destination: str, target: str, recipe: Recipe, reading: Reading) -> bool:
    cls = reading.kinds.destination(recipe.destinations[destination].uses)
    return cls is not None and _artifact(target, recipe, reading) in cls.accepts


def _artifact(target: str, recipe: Recipe, reading: Reading) -> str:
    cls = reading.kinds.target(recipe.targets[target].uses)
    return cls.artifact if cls else ""
