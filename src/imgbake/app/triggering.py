"""Triggers: what is done when tags of image streams have moved.

    for each trigger and tag that is due:  claim it in the stream's document
                                           do it
                                           confirm it there, or note why it failed

A crash before the claim or after it starts it again, one after it was confirmed doesn't. What a trigger
builds may move other tags, so it goes on until nothing is due.
"""

from __future__ import annotations

import fcntl
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from imgbake.app.opening import Request
from imgbake.app.syncing import opened
from imgbake.contract import Moved
from imgbake.engine.context import Looking
from imgbake.engine.graph import Bake, Base, Node
from imgbake.engine.project import STATE, Project
from imgbake.errors import BakeError, Interrupted, PluginError, UsageError, did_you_mean
from imgbake.model import Task, Trigger
from imgbake.streams import firing, names, shelving
from imgbake.streams.clock import now
from imgbake.streams.firing import Who
from imgbake.streams.model import Stream

_LOCK = "triggers"


class Makers(Protocol):
    """What brings about what triggers want. Each raises BakeError when it doesn't come about."""

    def build(self, names: Sequence[str]) -> None:
        """Images, as NAME@TARGET."""

    def run(self, names: Sequence[str]) -> None:
        """Tasks, whether anything they see has changed or not."""

    def distribute(self, names: Sequence[str]) -> None:
        """Distributions."""


class Firing(msgspec.Struct, frozen=True):
    """What became of a trigger. `result`: "fired", "failed", or "due" when it was only looked at."""

    trigger: str
    tag: str  # NAME:TAG
    image: str
    result: str
    before: str = ""
    done: tuple[str, ...] = ()  # what was done, or would be
    error: str = ""
    hint: str = ""


class _Due(msgspec.Struct, frozen=True):
    """A trigger that is to be started, and what for."""

    trigger: Trigger
    named: names.Named
    moved: Moved

    @property
    def is_once(self) -> tuple[str, str, str]:
        """By which it is told from others."""
        return self.trigger.name, str(self.named), self.moved.image


def look(request: Request, warn: Callable[[str], None], wanted: Sequence[str] = ()) -> list[Firing]:
    """What would be done. Changes nothing."""
    with opened(request, warn) as project:
        return [
            _firing(due, "due", done=tuple(_plan(due, project)))
            for due in _all_due(project, wanted, _who(project.root))
        ]


def fire(
    request: Request,
    makers: Makers,
    warn: Callable[[str], None],
    show: Callable[[Firing], None],
    wanted: Sequence[str] = (),
) -> list[Firing]:
    """Starts every trigger that is due, of all or of those that are named. `show` hears of each."""
    found: list[Firing] = []
    tried: set[tuple[str, str, str]] = set()
    with opened(request, warn) as project:
        if not _wanted(project, wanted) or not _all_due(project, wanted, _who(project.root)):
            return []
    with _alone(request.file.parent, warn):
        who = _who(request.file.parent.resolve())
        while (due := _claimed(request, warn, wanted, who, tried)) is not None:
            tried.add(due.is_once)
            found.append(_started(due, request, makers, warn, who))
            show(found[-1])
    return found


def standing_on(project: Project, named: names.Named) -> list[str]:
    """The images whose base is a tag, or that stand on such images, as NAME@TARGET."""
    graph = project.graph
    bases = {
        node.id
        for node in graph.nodes.values()
        if any(_is_tag(reference, named) for reference in _taken(node, project))
    }
    return [
        f"{node.work.image.name}@{node.work.target.name}"
        for node in graph.nodes.values()
        if isinstance(node.work, Bake) and not bases.isdisjoint(graph.closure((node.id,)))
    ]


def _taken(node: Node, project: Project) -> Sequence[str]:
    """What a node takes from outside: a base is that, and a file of another tool's may name some."""
    if isinstance(node.work, Base):
        return (node.work.reference,)
    if isinstance(node.work, Bake) and node.work.image.description is not None:
        return project.descriptions.streams(node.work.image)
    return ()


def _started(due: _Due, request: Request, makers: Makers, warn: Callable[[str], None], who: Who) -> Firing:
    """Does what a trigger is for, and notes what came of it."""
    try:
        done = _do(due, request, makers, warn)
        firing_, error = _firing(due, "fired", done=tuple(done)), ""
    except Interrupted:
        _confirm(due, request, warn, who, "interrupted")
        raise
    except BakeError as failed:
        firing_, error = _firing(due, "failed", error=failed.placed, hint=failed.hint), failed.placed
    return _confirm(due, request, warn, who, error, firing_)


def _confirm(
    due: _Due,
    request: Request,
    warn: Callable[[str], None],
    who: Who,
    error: str,
    result: Firing | None = None,
) -> Firing:
    with opened(request, warn) as project:
        masked = project.secrets.mask(error)
        how = partial(_confirmed, due=due, project=project, who=who, error=masked)
        shelving.change(project.shelf, due.named.stream, how)
        found = result or _firing(due, "failed", error=masked)
        return msgspec.structs.replace(found, error=masked, hint=project.secrets.mask(found.hint))


def _confirmed(stream: Stream | None, due: _Due, project: Project, who: Who, error: str) -> Stream | None:
    if stream is None:
        return None
    return firing.confirm(stream, due.named.tag, _key(project, due.trigger), who, now(), error)


def _do(due: _Due, request: Request, makers: Makers, warn: Callable[[str], None]) -> Iterator[str]:
    trigger = due.trigger
    if trigger.missing:
        raise BakeError(f"missing argument '{trigger.missing[0]}', which [triggers.{trigger.name}] needs")
    if trigger.run:
        makers.run(trigger.run)
        yield f"ran {', '.join(trigger.run)}"
    images = _images(due, request, warn)
    if images:
        makers.build(images)
        yield f"built {', '.join(images)}"
    if trigger.distribute:
        makers.distribute(trigger.distribute)
        yield f"distributed {', '.join(trigger.distribute)}"
    if trigger.uses:
        with opened(request, warn) as project:
            yield _of_plugin(due, project)


def _images(due: _Due, request: Request, warn: Callable[[str], None]) -> list[str]:
    if not due.trigger.builds_standing:
        return list(due.trigger.build)
    with opened(request, warn) as project:
        return standing_on(project, due.named)


def _of_plugin(due: _Due, project: Project) -> str:
    cls = project.plugins.trigger(due.trigger.uses)
    if cls is None:
        raise BakeError(f"no plugin knows the kind of trigger '{due.trigger.uses}'")
    node = Node(
        f"trigger:{due.trigger.name}",
        "trigger",
        due.trigger.at,
        Task(due.trigger.name, due.trigger.at, "", None),
    )
    try:
        return cls(due.trigger.options).fire(due.moved, Looking(project, node))  # type: ignore[call-arg]  # a protocol says nothing of constructors
    except (BakeError, Interrupted):
        raise
    except Exception as error:
        raise PluginError(cls.__module__, f"the trigger '{due.trigger.name}' failed: {error!r}") from error


def _plan(due: _Due, project: Project) -> Iterator[str]:
    trigger = due.trigger
    if trigger.run:
        yield f"run {', '.join(trigger.run)}"
    images = standing_on(project, due.named) if trigger.builds_standing else trigger.build
    if images:
        yield f"build {', '.join(images)}"
    if trigger.distribute:
        yield f"distribute {', '.join(trigger.distribute)}"
    if trigger.uses:
        yield trigger.uses


def _claimed(
    request: Request,
    warn: Callable[[str], None],
    wanted: Sequence[str],
    who: Who,
    tried: set[tuple[str, str, str]],
) -> _Due | None:
    """The next that is due, once the document of its stream says that it is ours."""
    with opened(request, warn) as project:
        for due in _all_due(project, wanted, who):
            if due.is_once in tried:
                continue
            key, config = _key(project, due.trigger), _config(due.trigger)
            how = partial(_claim, due=due, key=key, config=config, who=who)
            after = shelving.change(project.shelf, due.named.stream, how).after
            if after is not None and firing.is_claimed(after, due.named.tag, key, who):
                current = _due(due.trigger, due.named, after, project)
                return current if current.is_once not in tried else None
    return None


def _claim(stream: Stream | None, due: _Due, key: str, config: str, who: Who) -> Stream | None:
    return stream and firing.claim(stream, due.named.tag, key, config, who, now())


def _all_due(project: Project, wanted: Sequence[str], who: Who) -> list[_Due]:
    streams: dict[str, Stream | None] = {}
    found = []
    for trigger in _wanted(project, wanted):
        for text in trigger.on:
            named = names.parse_tag(text)
            if named.stream not in streams:
                streams[named.stream] = shelving.load(project.shelf, named.stream)
            stream = streams[named.stream]
            tag = stream.tags.get(named.tag) if stream else None
            if stream and tag and firing.is_due(tag, _key(project, trigger), _config(trigger), who, now()):
                found.append(_due(trigger, named, stream, project))
    return found


def _due(trigger: Trigger, named: names.Named, stream: Stream, project: Project) -> _Due:
    tag = stream.tags[named.tag]
    assert tag.current is not None
    moved = Moved(
        trigger.name,
        project.recipe.name,
        named.stream,
        named.tag,
        tag.current.image,
        tag.current.reference,
        stream.images[tag.current.image].kind,
        firing.before(tag, _key(project, trigger)),
    )
    return _Due(trigger, named, moved)


def _wanted(project: Project, wanted: Sequence[str]) -> list[Trigger]:
    """The triggers that are meant and not paused. Raises UsageError for a name that isn't there."""
    known = project.recipe.triggers
    for name in wanted:
        if name not in known:
            raise UsageError(f"no trigger named '{name}'", hint=did_you_mean(name, known))
    return [each for name, each in known.items() if (name in wanted or not wanted) and not each.paused]


def _key(project: Project, trigger: Trigger) -> str:
    return f"{project.recipe.name}/{trigger.name}"


def _config(trigger: Trigger) -> str:
    return trigger.digest if trigger.config else ""


def _is_tag(reference: str, named: names.Named) -> bool:
    if not reference.startswith(names.PREFIX):
        return False
    found = names.parse(reference)
    return not found.image and (found.stream, found.tag or names.LATEST) == (named.stream, named.tag)


def _firing(due: _Due, result: str, *, done: tuple[str, ...] = (), error: str = "", hint: str = "") -> Firing:
    moved = due.moved
    return Firing(due.trigger.name, str(due.named), moved.image, result, moved.before, done, error, hint)


def _who(root: Path) -> Who:
    return Who(f"{socket.gethostname()}:{root.resolve()}", uuid.uuid4().hex)


@contextmanager
def _alone(root: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Only one imgbake starts triggers of a project on a machine, so that a claim of it is its own."""
    (root / STATE).mkdir(exist_ok=True)
    with (root / STATE / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            warn("waiting for another imgbake that starts triggers here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
