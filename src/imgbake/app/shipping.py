"""`imgbake export` and `--push`: how a baked image leaves the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from imgbake.app.planning import Planner
from imgbake.contract import Artifact, Exporter
from imgbake.engine.context import Working
from imgbake.engine.graph import Bake, Node, Test
from imgbake.engine.process import Stop
from imgbake.engine.project import Project
from imgbake.engine.steps import target_of
from imgbake.errors import BakeError, UsageError, did_you_mean
from imgbake.events import Observer, telling


def export(project: Project, name: str, to: Path, form: str) -> str:
    """Writes an image to a path in a format (the target's first when empty), and returns its digest.

    Raises BakeError when it is not built or its test has not passed, UsageError when its target can't or
    what is at the path is not to be replaced.
    """
    node = project.graph.nodes[name]
    exporter = _exporter(node, project)
    place = _replaceable(to)
    forms = exporter.formats()
    if form and form not in forms:
        hint = did_you_mean(form, forms)
        raise UsageError(f"{name} can't be exported as '{form}'", hint=hint)
    planner = Planner(project)
    tests = [
        node.id
        for node in project.graph.nodes.values()
        if isinstance(node.work, Test) and node.work.of == name
    ]
    found = {step.node: step for step in planner.plan([name, *tests])}
    for step in (found[name], *(found[test] for test in tests)):
        if step.action != "cached":
            state = "is not up to date" if step.node == name else "has not passed"
            why = "; ".join(step.why) or step.action
            hint = f"`imgbake build {name.partition(':')[2]}` first"
            raise BakeError(f"{step.node} {state} ({why})", hint=hint)
    artifact = planner.artifacts[name]
    try:
        exporter.export(artifact, project.store, place, form or forms[0], name.partition(":")[2])
    except OSError as error:  # it may name a file that only exists while the export is made
        raise BakeError(f"can't export to {to}: {error.strerror or error}") from error
    return artifact.digest


def _replaceable(to: Path) -> Path:
    """The path behind a symlink, which stays one. A device or a pipe would be lost: raises UsageError."""
    to = to.resolve() if to.is_symlink() else to
    if to.exists() and not (to.is_file() or to.is_dir()):
        raise UsageError(f"{to} is neither a file nor a folder", hint="choose another path")
    return to


def push(
    project: Project,
    made: Mapping[str, Artifact],
    stop: Stop,
    marker: str,
    observers: Sequence[Observer],
) -> tuple[str, ...]:
    """Pushes images to the tags of their targets, and returns the references. Raises BakeError."""
    tell = telling(observers)
    pushed: list[str] = []
    for name, artifact in made.items():
        node = project.graph.nodes[name]
        ctx = Working(project, node, stop, tell, marker)
        try:
            pushed += _exporter(node, project).push(artifact, ctx)
        finally:
            ctx.close()
    return tuple(pushed)


def _exporter(node: Node, project: Project) -> Exporter:
    if not isinstance(node.work, Bake):
        raise UsageError(f"{node.id} is not an image", hint="write NAME@TARGET; see `imgbake list`")
    target = target_of(node.work, project)
    if not hasattr(target, "export"):
        hint = "its artifacts stay where it puts them"
        raise UsageError(f"the target '{node.work.target.uses}' of {node.id} can't export or push", hint=hint)
    return cast(Exporter, target)  # checked above: a Protocol can't be asked at run time
