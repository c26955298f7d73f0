"""What a recipe says of image streams, written into their documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from imgbake.contract import Shelf
from imgbake.engine.project import Project
from imgbake.errors import BakeError, MissingArguments
from imgbake.model import DeclaredStream, Recipe
from imgbake.streams import changes, names, shelving
from imgbake.streams.changes import Pointed
from imgbake.streams.model import Intent, Known, Revision, Stream

IMAGE = "image:"


def declare(project: Project, now: datetime) -> None:
    """Lets tags mean what the recipe says, and those that it says nothing of any more mean nothing.

    What they point to stays. Raises MissingArguments when it reads arguments that nobody gave.
    """
    recipe = project.recipe
    _require_args(recipe)
    wanted = declared(project)
    for name in (*wanted, *(each for each in project.shelf.names() if each not in wanted)):
        shelving.change(
            project.shelf, name, partial(_as_declared, says=wanted.get(name), recipe=recipe, now=now)
        )


def declared(project: Project) -> dict[str, DeclaredStream]:
    """The streams that the recipe speaks of, those in the tables of images included."""
    found = dict(project.recipe.streams)
    for stream, tag, intent in _of_images(project):
        says = found.get(stream) or DeclaredStream(stream, project.recipe.images[_image(intent)].at)
        found[stream] = replace(says, tags={**says.tags, tag: intent})
    return found


def apply(
    streams: Mapping[str, DeclaredStream], shelf: Shelf, owner: str, now: datetime
) -> dict[str, shelving.Changed]:
    """Writes what a file says of streams, all of it belonging to an owner; to nobody if that is empty."""
    found = {}
    for name, says in streams.items():
        changed = shelving.change(shelf, name, partial(_written, says=says, owner=owner, now=now))
        found[name] = changed
    return found


def _as_declared(
    stream: Stream | None, says: DeclaredStream | None, recipe: Recipe, now: datetime
) -> Stream | None:
    if stream is not None:
        said = says.tags if says else {}
        mine = [
            name for name, tag in stream.tags.items() if tag.intent and tag.intent.declared == recipe.name
        ]
        stream = changes.forget_intents(stream, [name for name in mine if name not in said])
    return stream if says is None else _written(stream, says, recipe.name, now)


def _written(stream: Stream | None, says: DeclaredStream, owner: str, now: datetime) -> Stream:
    stream = stream or Stream(now)
    if owner:
        for name in says.tags:
            tag = stream.tags.get(name)
            other = tag.intent.declared if tag and tag.intent else ""
            if other not in ("", owner):
                message = f"the tag '{says.name}:{name}' is declared by the recipe of '{other}', too"
                raise BakeError(message, hint="one of them has to leave it out")
    if says.repository or says.lookup or says.labels or says.annotations or owner:
        stream = _with(stream, says)
    intents = {name: replace(intent, declared=owner) for name, intent in says.tags.items()}
    return _with_first_images(changes.intend(stream, intents), says, now)


def _with(stream: Stream, says: DeclaredStream) -> Stream:
    new = replace(
        stream,
        repository=says.repository,
        lookup=says.lookup,
        labels=says.labels,
        annotations={**stream.annotations, **says.annotations},
    )
    return stream if new == stream else new


def _with_first_images(stream: Stream, says: DeclaredStream, now: datetime) -> Stream:
    """Tags that point nowhere yet point where the recipe says that they begin."""
    found = {}
    for name, reference in says.images.items():
        if stream.tags[name].current is None:
            kind = says.tags[name].kind
            image = reference.rpartition("@")[2]
            found[name] = Pointed(Revision(image, reference, now, cause="tag"), Known(kind))
    return changes.point(stream, found) if found else stream


def _of_images(project: Project) -> Iterator[tuple[str, str, Intent]]:
    for image in project.recipe.images.values():
        for target, text in image.streams.items():
            named = names.parse(text)
            cls = project.plugins.target(project.recipe.targets[target].uses)
            kind = cls.artifact if cls else ""
            yield named.stream, named.tag, Intent(f"{IMAGE}{image.name}@{target}", kind)


def _image(intent: Intent) -> str:
    return intent.source.removeprefix(IMAGE).partition("@")[0]


def _require_args(recipe: Recipe) -> None:
    missing = [(name, stream.name) for stream in recipe.streams.values() for name in stream.missing]
    if missing:
        lines = [f"missing argument '{name}', which [streams.{stream}] needs" for name, stream in missing]
        wanted = tuple(dict.fromkeys(name for name, _ in missing))
        raise MissingArguments(wanted, (), "\n".join(lines))
