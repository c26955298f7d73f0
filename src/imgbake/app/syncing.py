"""`imgbake stream import`, `sync` and `watch`: tags follow their sources, when it is time or when asked."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import msgspec

from imgbake import plugins
from imgbake.app import declaring, schedule
from imgbake.app.building import stoppable
from imgbake.app.importing import Imported, Wanted, asked_for, import_tags, importable, told
from imgbake.app.opening import Request, open_project
from imgbake.engine.graph import Graph
from imgbake.engine.lockfile import Lock
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.engine.secrets import Secrets
from imgbake.errors import BakeError, Interrupted, PluginError, UsageError
from imgbake.model import Recipe
from imgbake.recipe import recipe as recipes
from imgbake.streams import names, shelving
from imgbake.streams.clock import now
from imgbake.streams.model import Intent, Stream

_GLANCE = 15.0  # seconds after which `watch` looks at the recipe and the shelf again
_MINUTE = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0  # seconds, after something went wrong


class Order(msgspec.Struct, frozen=True):
    """What to import."""

    request: Request
    tags: tuple[str, ...] = ()  # NAME:TAG, or NAME; all that there are without any
    every: bool = False  # every tag of the streams that are named
    force: bool = False  # whether it is time or not
    rate: int = 0  # imports from one registry in a minute, at most; 0 is as many as it lets us


def import_now(order: Order, warn: Callable[[str], None]) -> list[Imported]:
    """Imports the tags that are named. Raises UsageError for one that can't be."""
    with opened(order.request, warn) as project:
        declaring.declare(project, now())
        return _imported(project, asked_for(project, order.tags, every=order.every), order.rate)


def import_library(file: Path, request: Request, warn: Callable[[str], None]) -> list[Imported]:
    """Takes over what a file says of streams, and imports what it doesn't say the image of."""
    with opened(request, warn) as project:
        found = _library(file)
        written = declaring.apply(found.streams, project.shelf, "", now())
        wanted = [
            each
            for name, changed in written.items()
            if changed.after is not None
            for each in importable(name, changed.after)
            if each.tag in found.streams[name].tags and changed.after.tags[each.tag].is_pending
        ]
        taken = [
            told(f"{name}:{tag}", written[name])
            for name, says in found.streams.items()
            for tag in says.images
        ]
        return taken + _imported(project, wanted, 0)


def sync(order: Order, warn: Callable[[str], None]) -> list[Imported]:
    """Imports what is due, or with `force` all that can be."""
    with opened(order.request, warn) as project:
        declaring.declare(project, now())
        return _imported(project, _due(project, order), order.rate)


def watch(order: Order, warn: Callable[[str], None], show: Callable[[Sequence[Imported]], None]) -> None:
    """Stays, and imports what is due when it is, until it is told to end; `show` is handed what came of it.

    Once it runs, a recipe that is wrong or a shelf that can't be reached is only a warning.
    """
    has_begun, pause = False, _FIRST_PAUSE
    with stoppable() as stop:
        while not stop.is_set():
            try:
                with opened(order.request, warn, stop) as project:
                    declaring.declare(project, now())
                    _streams(project, order)  # raises for what isn't there, as long as nothing has begun
                    has_begun, pause = True, _FIRST_PAUSE
                    _watch_until_changed(project, order, stop, show)
            except Interrupted:
                return
            except BakeError as error:
                if not has_begun or isinstance(error, PluginError):
                    raise
                warn(error.render())
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


def _watch_until_changed(
    project: Project, order: Order, stop: Stop, show: Callable[[Sequence[Imported]], None]
) -> None:
    """Imports what is due, until the recipe is another one."""
    signature = _signature(project)
    while not stop.is_set() and _signature(project) == signature:
        if due := _due(project, order, is_spread=True):
            show(_imported(project, due, order.rate))
        stop.wait(_until_next(project, order))


@contextmanager
def opened(request: Request, warn: Callable[[str], None], stop: Stop | None = None) -> Iterator[Project]:
    """The project of a recipe; where there is none, one that has nothing but streams.

    Without a stop signal of the caller's, one that Ctrl-C sets.
    """
    with stoppable() if stop is None else nullcontext(stop) as signal:
        if request.file.exists():
            project = open_project(request, warn)
        else:
            project = _without_recipe(request.file.parent.resolve(), warn)
        project.stop = signal
        try:
            yield project
        finally:
            project.close()


def _without_recipe(root: Path, warn: Callable[[str], None]) -> Project:
    recipe = Recipe(root.name, str(root), (), {}, {}, {}, {}, {})
    return Project(
        recipe, Graph({}), plugins.installed(),
        lock=Lock(), secrets=Secrets({}), environ=os.environ, commits={}, warn=warn,
    )  # fmt: skip


def _library(file: Path) -> Recipe:
    """A file with [streams], read as a recipe is. Raises RecipeError."""
    if not file.exists():
        raise UsageError(f"there is no file {file}", hint="`imgbake stream export -o FILE` writes one")
    loaded = recipes.read(file, given={}, environ=os.environ, kinds=plugins.installed())
    if loaded.faults:
        raise recipes.problems(loaded.faults, loaded.sources)
    if not loaded.recipe.streams:
        raise UsageError(f"{file} says nothing of streams", hint="it has tables [streams.NAME.tags.TAG]")
    return loaded.recipe


def _imported(project: Project, wanted: Sequence[Wanted], rate: int) -> list[Imported]:
    """Imports these, and remembers when."""
    if not wanted:
        return []
    imported = import_tags(project, wanted, _Pace(rate, project).wait)
    schedule.note(project.state, imported, now())
    return imported


def _due(project: Project, order: Order, *, is_spread: bool = False) -> list[Wanted]:
    looked, moment = schedule.read(project.state), now()
    return [
        wanted
        for wanted, due in _dates(project, order, looked, is_spread=is_spread)
        if order.force or (due is not None and due <= moment)
    ]


def _until_next(project: Project, order: Order) -> float:
    """How long there is nothing to do, or until somebody may have changed something."""
    looked = schedule.read(project.state)
    dates = [due for _, due in _dates(project, order, looked, is_spread=True) if due is not None]
    if not dates:
        return _GLANCE
    return max(0.2, min(_GLANCE, (min(dates) - now()).total_seconds()))


def _dates(
    project: Project, order: Order, looked: dict[str, schedule.Looked], *, is_spread: bool
) -> Iterator[tuple[Wanted, datetime | None]]:
    """All that can be imported, and when that is due."""
    for name, stream in _streams(project, order).items():
        for wanted in importable(name, stream):
            if order.tags and not _is_meant(wanted, order.tags):
                continue
            due = schedule.next_look(stream.tags[wanted.tag], looked.get(str(wanted)))
            if due is not None and is_spread:
                due = schedule.spread(str(wanted), due, wanted.intent, looked.get(str(wanted)))
            yield wanted, due


def _streams(project: Project, order: Order) -> dict[str, Stream]:
    """The streams that are meant. Raises UsageError for a stream or a tag that isn't there."""
    if not order.tags:
        loaded = {name: shelving.load(project.shelf, name) for name in project.shelf.names()}
        return {name: stream for name, stream in loaded.items() if stream is not None}
    found: dict[str, Stream] = {}
    for text in order.tags:
        named = names.parse(text)
        if named.stream not in found:
            found[named.stream] = shelving.existing(project.shelf, named.stream)
        if named.image:
            raise UsageError(f"'{text}' is an image, which never changes", hint="write NAME:TAG")
        if named.tag and named.tag not in found[named.stream].tags:
            raise names.unknown_tag(named, found[named.stream])
    return found


def _is_meant(wanted: Wanted, texts: Sequence[str]) -> bool:
    return any(text.removeprefix(names.PREFIX) in (wanted.stream, str(wanted)) for text in texts)


def _signature(project: Project) -> tuple[int, ...]:
    """What shows that a file of the recipe was written, or that there is one now."""
    files = project.recipe.files or (str(project.root / "imgbake.toml"),)
    return tuple(map(_written, files))


def _written(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:  # it may be moved just now, as by an editor
        return 0


class _Pace:
    """Lets sources of one registry be asked one after the other, so many in a minute."""

    def __init__(self, rate: int, project: Project) -> None:
        self._gap = _MINUTE / rate if rate else 0.0
        self._project = project
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def wait(self, intent: Intent) -> None:
        """Returns when it is this source's turn. Raises Interrupted."""
        if not self._gap:
            return
        place = intent.source.partition("/")[0] if "/" in intent.source else intent.kind
        with self._lock:
            turn = max(time.monotonic(), self._next.get(place, 0.0))
            self._next[place] = turn + self._gap
        while (left := turn - time.monotonic()) > 0:
            self._project.check()
            time.sleep(min(left, 0.2))
