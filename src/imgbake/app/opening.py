"""From a command line to a project: reads the recipe, draws the graph, and refuses what is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from imgbake import plugins
from imgbake.engine import documents, graph, lockfile, routes, secrets
from imgbake.engine.descriptions import Descriptions
from imgbake.engine.project import STATE, Project
from imgbake.engine.steps import all_outputs, image_names, image_outputs
from imgbake.errors import MissingArguments, UsageError, did_you_mean
from imgbake.model import Destination, Image, Recipe, Target, Task
from imgbake.recipe import faults, recipe, saved


class Request(msgspec.Struct, frozen=True):
    """What every command needs to know."""

    file: Path
    args: dict[str, str] = {}
    commits: dict[str, str] = {}  # git tasks to the commit to use
    to: tuple[str, ...] = ()  # the destinations that distributions are narrowed to; all of them without


def open_project(
    request: Request,
    warn: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
    *,
    is_read_only: bool = False,
) -> Project:
    """The project of a recipe. Raises RecipeError with everything that is wrong with it.

    One that is opened read-only leaves no trace on the disk.
    """
    opened = time.time_ns()
    found = plugins.installed()
    path, state = request.file, request.file.parent / STATE
    said_before = saved.read(state / saved.NAME)
    loaded = recipe.read(
        path,
        given=request.args,
        saved=said_before,
        environ=environ,
        kinds=found,
        parsed=state / "parsed",
        keep=not is_read_only,
    )
    read = loaded.recipe if loaded.faults else _narrowed(loaded.recipe, request.to)
    described = Descriptions(read, found)
    drawn, more = graph.build(
        read,
        lambda task: _outputs(task, found),
        lambda target: _artifact(target, found),
        lambda image, target: _image_outputs(image, target, found),
        described.told_by,
        lambda nodes: routes.add(
            read,
            lambda table, image, tags: pointers_of(table, image, tags, found),
            lambda target: hasattr(found.target(target.uses), "pack"),
            nodes,
        ),
    )
    unknown = described.unknown(request.args) if loaded.is_whole else []
    clashes = graph.name_clashes(drawn.nodes, lambda image, target: _image_names(image, target, found))
    wrong = (*loaded.faults, *more, *clashes, *unknown, *documents.faults(loaded.recipe, found))
    if wrong:
        raise faults.problems(wrong, loaded.sources)
    return Project(
        read,
        drawn,
        found,
        descriptions=described,
        lock=lockfile.read(path.parent),
        secrets=secrets.Secrets(loaded.secrets, _secret(read) - loaded.secrets.keys()),
        environ=environ,
        commits=_commits(request.commits, read),
        warn=warn,
        is_read_only=is_read_only,
        opened=opened,
        has_saved_args=bool(said_before),
    )


def goals(project: Project, names: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """The nodes that names on the command line mean: NAME, NAME@TARGET, or a node as `list` shows it.

    `kind` is "image" or "task"; without names it is all nodes of that kind. An image brings its test.
    Raises UsageError for a name that is not there.
    """
    nodes = project.graph.nodes
    if not names:
        return project.graph.of_kind(kind) + (project.graph.of_kind("test") if kind == "image" else ())
    wanted: dict[str, None] = {}
    for name in names:
        matches = [name] if name in nodes else _named(project, name, kind)
        if not matches:
            known = [node.partition(":")[2] for node in project.graph.of_kind(kind)]
            known += list(project.recipe.images) if kind == "image" else []
            raise UsageError(f"no {kind} named '{name}'", hint=_elsewhere(name, kind, project, known))
        wanted.update(dict.fromkeys(matches))
    return tuple(wanted)


def either(project: Project, name: str) -> tuple[str, ...]:
    """The nodes that a name means, be it a task's or an image's. Raises UsageError when it is none."""
    found = [name] if name in project.graph.nodes else []
    found = found or [node for kind in ("task", "image") for node in _named(project, name, kind)]
    return tuple(found) or (node(project, name),)


def node(project: Project, name: str, kind: str = "") -> str:
    """The one node that a name means; with `kind`, "image" or "task", of that kind.

    Raises UsageError when it is none, or several.
    """
    nodes = project.graph.nodes
    if name in nodes:
        return name
    kinds = (kind,) if kind else ("task", "image")
    found = [found for each in kinds for found in _named(project, name, each)]
    found = [name for name in found if not name.startswith("test:")] or found
    if not found and not kind:  # a base, say
        found = [each for each in nodes if each.partition(":")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"'{name}' is several nodes", hint="name one: " + ", ".join(found))
    known = project.graph.of_kind(kind) if kind else tuple(nodes)
    hint = _elsewhere(name, kind, project, [*known, *(each.partition(":")[2] for each in known)])
    raise UsageError(f"no {kind or 'node'} named '{name}'", hint=hint)


def require_args(project: Project, nodes: Sequence[str]) -> None:
    """Raises MissingArguments for every argument that these nodes read and nobody gave."""
    missing: dict[str, list[str]] = {}
    for name in nodes:
        for lacking in project.graph.nodes[name].missing:
            missing.setdefault(lacking, []).append(name)
    if not missing:
        return
    lines, told = [], {}
    for name, readers in missing.items():
        arg = project.recipe.args.get(name) or project.descriptions.argument(name)
        give = f"--arg {name}=VALUE" + (f", or {arg.env} in the environment" if arg.env else "")
        choices = f"one of {', '.join(arg.choices)}" if arg.choices else ""
        if about := "; ".join(filter(None, (arg.help, choices))):
            told[name] = about
            about = f" ({about})"
        reader = next((each for each in readers if not each.startswith("base:")), readers[0])
        lines.append(f"missing argument '{name}'{about}, which {reader} needs: give {give}")
    raise MissingArguments(tuple(missing), _secret(project.recipe), "\n".join(lines), told)


def require_args_to_build(
    project: Project, goals: Sequence[str], force: frozenset[str] = frozenset()
) -> None:
    """Raises MissingArguments for every argument without which these goals can't be built.

    A secret that nobody gave is none where nothing would run that needs it.
    """
    nodes, wanted = project.graph.nodes, project.graph.closure(goals)
    if not any(nodes[name].missing for name in wanted):
        return
    from imgbake.app.planning import Planner  # few builds lack any

    brought = [name for name in wanted if nodes[name].kind in graph.BROUGHT]
    planner = Planner(project, force)
    planner.plan([name for name in wanted if name not in brought])
    project.check()  # what was interrupted is an error in the plan
    require_args(project, [*planner.lacking, *brought])


def save_args(project: Project, given: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Keeps these arguments for the next builds, but for secrets. Raises BakeError."""
    secret = _secret(project.recipe) & given.keys()
    if secret:
        warn(f"secrets are not saved: {', '.join(sorted(secret))}")
    values = {name: value for name, value in given.items() if name not in secret}
    if values:
        saved.save(project.state / saved.NAME, values)


def pointers_of(
    table: Destination, image: str, tags: Sequence[str], found: plugins.Plugins
) -> tuple[str, ...]:
    """The names that a publish moves at a destination. Raises BakeError for tags that can't be."""
    cls: Any = found.destination(table.uses)
    return () if cls is None else tuple(cls(table.options).pointers(image, tags))


def _secret(read: Recipe) -> set[str]:
    """The arguments that are secret."""
    return {name for name, arg in read.args.items() if arg.secret}


def _narrowed(read: Recipe, to: tuple[str, ...]) -> Recipe:
    """The recipe with distributions to these destinations only. Raises UsageError for unknown ones."""
    if not to:
        return read
    for name in to:
        if name not in read.destinations:
            hint = did_you_mean(name, read.destinations)
            raise UsageError(f"no destination named '{name}'", hint=hint)
    narrowed = {}
    for name, each in read.distributions.items():
        ways = tuple(route for route in each.routes if route.destination in to)
        narrowed[name] = msgspec.structs.replace(each, routes=ways)
    return msgspec.structs.replace(read, distributions=narrowed)


def _named(project: Project, name: str, kind: str) -> list[str]:
    nodes = project.graph.nodes
    if kind == "task":
        return [f"task:{name}"] if f"task:{name}" in nodes else []
    image, _, target = name.partition("@")
    if image not in project.recipe.images:
        return []
    targets = [target] if target else list(project.recipe.images[image].targets)
    wanted = [f"{prefix}:{image}@{each}" for prefix in ("image", "test") for each in targets]
    return [node for node in wanted if node in nodes]


def _elsewhere(name: str, kind: str, project: Project, known: list[str]) -> str:
    if kind == "image" and f"task:{name}" in project.graph.nodes:
        return f"it is a task: `imgbake run {name}`"
    if kind == "task" and name.partition("@")[0] in project.recipe.images:
        return f"it is an image: `imgbake build {name}`"
    return did_you_mean(name, known)


def _outputs(task: Task, found: plugins.Plugins) -> tuple[str, ...]:
    cls = found.step(task.uses)
    return task.outputs if cls is None or task.options is None else all_outputs(task, cls)


def _image_outputs(image: Image, target: Target, found: plugins.Plugins) -> tuple[str, ...]:
    cls = found.target(target.uses)
    return () if cls is None else image_outputs(image.name, target, cls)


def _image_names(image: Image, target: Target, found: plugins.Plugins) -> tuple[str, ...]:
    cls = found.target(target.uses)
    return () if cls is None or target.options is None else image_names(image.name, target, cls)


def _artifact(target: Target, found: plugins.Plugins) -> str:
    cls: Any = found.target(target.uses)
    return "" if cls is None else str(cls.artifact)


def _commits(given: Mapping[str, str], read: Recipe) -> dict[str, str]:
    """The commits of the command line by node. A bare commit (key "") is for the only git task."""
    tasks = [task.name for task in read.tasks.values() if task.uses == "git"]
    commits = {}
    for name, commit in given.items():
        if not tasks:
            hint = 'check the commit out and build, or fetch it by a task with uses = "git"'
            raise UsageError("--commit is for git tasks, and there is none here", hint=hint)
        if not name and len(tasks) != 1:
            hint = "write --commit TASK=COMMIT; git tasks here: " + ", ".join(tasks)
            raise UsageError("--commit needs the name of a git task", hint=hint)
        if name and name not in tasks:
            raise UsageError(f"--commit names '{name}', which is no git task", hint=did_you_mean(name, tasks))
        commits[f"task:{name or tasks[0]}"] = commit
    return commits
