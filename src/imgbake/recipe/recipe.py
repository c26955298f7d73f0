"""Reads a recipe: imgbake.toml and what it includes, as frozen values, with all that is wrong with it.

    files         parsed once and kept by content          files, parsed, syntax
    [args]        given, by environment, or by default     args
    {{ name }}    put into the text of all other tables    expand
    tables        typed, and every fault found             tables, options, diagnosis
    names         looked up, ordered, compared             tasks, components, images, targets, …

Faults are placed by keys; `problems` finds their lines when they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from imgbake.errors import did_you_mean
from imgbake.model import At, DeclaredStream, Image, Recipe
from imgbake.recipe import options
from imgbake.recipe.args import read_args, unknown
from imgbake.recipe.components import Components
from imgbake.recipe.distributions import read_destinations, read_distributions
from imgbake.recipe.expand import Expander, unevaluated
from imgbake.recipe.faults import Fault, problems
from imgbake.recipe.files import Document, Section, include_folders, read_documents, sections
from imgbake.recipe.images import image_tables, named_targets, read_images
from imgbake.recipe.reading import Kinds, Reading
from imgbake.recipe.tables import ProjectTable
from imgbake.recipe.targets import read_targets
from imgbake.recipe.tasks import read_tasks

__all__ = ["Fault", "Kinds", "Loaded", "Recipe", "problems", "read"]


class Loaded(msgspec.Struct, frozen=True):
    """A recipe that was read. With faults it holds what could be understood, and must not be built."""

    recipe: Recipe
    faults: tuple[Fault, ...]
    sources: dict[str, str]  # the text of each file, for `problems`
    secrets: dict[str, str]  # values of secret arguments by name, which stand nowhere else
    is_whole: bool = True  # was there no part that could not be read?

    def __repr__(self) -> str:
        """What a debugger or a log may show: nothing of the secrets."""
        return f"Loaded({self.recipe.root!r}, {len(self.faults)} faults)"


def read(
    path: Path,
    *,
    given: Mapping[str, str],
    saved: Mapping[str, str] = {},
    environ: Mapping[str, str],
    kinds: Kinds,
    parsed: Path | None = None,
    keep: bool = True,
) -> Loaded:
    """The recipe in this file. Whatever is wrong with its content is in the result's faults.

    `given` are arguments of the command line, `saved` those of an earlier one. `parsed` is a folder that
    keeps parsed TOML between runs; without `keep` it is only looked into. Raises UsageError when there is
    no such file, PluginError when a plugin breaks its contract.
    """
    faults: list[Fault] = []
    documents = read_documents(path, parsed, faults, keep=keep)
    sources = {document.file: document.text for document in documents}
    empty = _recipe(path, documents)
    try:
        return _read(empty, documents, sources, given, saved, environ, kinds, faults)
    except RecursionError:
        where = At(str(path), ())
        return Loaded(empty, (Fault(where, "arrays and tables are nested too deeply"),), sources, {})


def _recipe(path: Path, documents: list[Document]) -> Recipe:
    folder = path.parent.resolve()
    files = tuple(str(folder / Path(document.file).relative_to(path.parent)) for document in documents)
    looked = tuple(map(str, include_folders(documents[0], folder)))
    return Recipe(folder.name, str(folder), files, {}, {}, {}, {}, {}, folders=looked)


def _read(
    empty: Recipe,
    documents: list[Document],
    sources: dict[str, str],
    given: Mapping[str, str],
    saved: Mapping[str, str],
    environ: Mapping[str, str],
    kinds: Kinds,
    unread: list[Fault],
) -> Loaded:
    """The recipe in these documents, of which `unread` are the parts that are not in them."""
    faults = list(unread)
    tables = sections(documents, faults)
    project = _project(documents[0], kinds, faults)
    args = read_args(tables["args"], given, environ, saved, sources, faults)
    expander = Expander(args.args, environ, faults)
    reading = Reading(faults, sources, expander, kinds, args.missing, project.pools, is_whole=not unread)
    recipe = msgspec.structs.replace(
        _sections(empty, tables, documents[0].file, reading),
        name=project.name or empty.name,
        args=args.args,
        said=args.said,
        pools=project.pools,
        shelf=project.streams,
        env_read={**args.env_read, **expander.env_read},
    )
    if not any(image.description for image in recipe.images.values()):
        reading.faults += unknown(
            given, recipe.args
        )  # otherwise only the files that describe images can tell
    return Loaded(recipe, reading.settled(), sources, args.secrets, is_whole=not unread)


def _project(document: Document, kinds: Kinds, faults: list[Fault]) -> ProjectTable:
    at = At(document.file, ("project",))
    table, _ = options.read_repaired(document.table.get("project", {}), ProjectTable, at, faults)
    if table is None:
        return ProjectTable()
    if table.name is not None and unevaluated(table.name) is None:
        faults.append(Fault(at / "name", "'{{ }}' is not evaluated in [project]", value=True))
    scheme, sign, _ = table.streams.partition("://")
    if sign and scheme not in kinds.shelf_kinds():
        hint = did_you_mean(scheme, kinds.shelf_kinds()) or "a folder needs no '://'"
        faults.append(Fault(at / "streams", f"no plugin keeps streams at {scheme}://", hint, value=True))
    return table


def _sections(empty: Recipe, tables: dict[str, Section], file: str, reading: Reading) -> Recipe:
    """The recipe with everything but its arguments, which are in the reading already."""
    tasks = read_tasks(tables["tasks"], reading)
    components = Components(tables["components"], tables["tasks"], reading)
    images = image_tables(tables["images"], reading)
    targets = read_targets(tables["targets"], named_targets(images), file, reading)
    known = (tables["targets"], targets, tables["tasks"])
    found = read_images(tables["images"], images, components, *known, reading)
    streams, found = _streams(tables["streams"], found, reading)
    recipe = msgspec.structs.replace(
        empty,
        tasks=tasks,
        components={name: tables["components"].at(name) for name in tables["components"].tables},
        images=found,
        streams=streams,
        targets=targets,
        destinations=read_destinations(tables["destinations"], reading),
    )
    declared = (tables["images"], tables["destinations"])
    distributions = read_distributions(tables["distributions"], *declared, recipe, reading)
    recipe = msgspec.structs.replace(recipe, distributions=distributions)
    return _with_triggers(recipe, tables["triggers"], reading)


def _with_triggers(recipe: Recipe, section: Section, reading: Reading) -> Recipe:
    if not section.tables:
        return recipe
    from imgbake.recipe.triggers import read_triggers  # few recipes have any

    return msgspec.structs.replace(recipe, triggers=read_triggers(section, recipe, reading))


def _streams(
    section: Section, images: dict[str, Image], reading: Reading
) -> tuple[dict[str, DeclaredStream], dict[str, Image]]:
    """The streams, and the images with those bases put into full that streams stand for."""
    if not section.tables and not any(image.streams for image in images.values()):
        return {}, images
    from imgbake.recipe.streams import check_images, looked_up, read_streams  # few recipes have any

    streams = read_streams(section, reading)
    check_images(images, streams, reading)
    return streams, looked_up(images, streams)
