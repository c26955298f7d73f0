"""`imgbake plan`, `explain`, `lower`, `list`, `graph`, `log` and `plugins`: what there is, and why."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgbake.cli.options import Args, Commits, Directory, File, OutputFormat, enter
from imgbake.cli.words import RECIPE, Format, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app.opening import Request
    from imgbake.app.planning import Explained, Planned
    from imgbake.engine.project import Project

NodeName = Annotated[str, typer.Argument(help="A node as `imgbake list` shows it, or its short name.")]


class GraphFormat(StrEnum):
    """The languages that a graph can be drawn in."""

    TEXT = "text"
    DOT = "dot"
    MERMAID = "mermaid"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(plan)
    app.command()(explain)
    app.command()(lower)
    app.command("list")(list_nodes)
    app.command()(graph)
    app.command()(log)
    app.command()(plugins)


def plan(
    names: Annotated[list[str] | None, typer.Argument(help="Images or tasks; all images if none.")] = None,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    commits: Commits = None,
    force: Annotated[bool, typer.Option("-B", "--force", help="As if everything had changed.")] = False,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Show what would run, what is cached, and why. Changes nothing."""
    enter(directory)
    show_plan(names, "", request(file, args, commits), force=force, format=format)


def show_plan(names: list[str] | None, kind: str, wanted: Request, *, force: bool, format: Format) -> None:
    """Prints the plan for some nodes; `kind` is what a name means, "" for either."""
    from imgbake.app.planning import Planner, as_json
    from imgbake.engine.graph import MADE

    project = _open(wanted)
    steps = Planner(project, MADE if force else frozenset()).plan(_goals(project, names, kind))
    if format is Format.JSON:
        print_json(as_json(steps))
        return
    rows = [(step.action, step.node, "; ".join(step.why)) for step in steps]
    _print_table(rows, ("ACTION", "NODE", "WHY"))
    for step in steps:
        if step.makes:
            typer.echo("\n".join([f"\n{step.node} is baked with", *(f"  {what}" for what in step.makes)]))
    _print_counts(steps)


def explain(
    name: NodeName,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Say which part of a node changed since its last run."""
    enter(directory)
    from imgbake.app import opening, planning

    project = _open(request(file, args, commits))
    found = planning.explain(project, opening.node(project, name))
    if format is Format.JSON:
        print_json(planning.explained_as_json(found))
    else:
        typer.echo("\n".join(_explanation(found)))


def lower(
    name: Annotated[str, typer.Argument(metavar="NAME[@TARGET]", help="An image.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write files to this folder.")] = None,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Print an image in its target's own words. This is what is sent, ready to read or to keep."""
    enter(directory)
    from imgbake.app import opening, planning

    project = _open(request(file, args, commits))
    lowered = planning.lower(project, opening.node(project, name, "image"))
    documents = {**lowered.documents, **lowered.beside}
    written = [] if output is None else [str(path) for path in _write(documents, output)]
    if format is Format.JSON:
        print_json({"documents": lowered.documents, "beside": lowered.beside, "written": written})
    elif output is not None:
        typer.echo("\n".join(written))
    else:
        for title, text in documents.items():
            heading = [f"# {title}"] if len(documents) > 1 else []
            typer.echo("\n".join([*heading, text.rstrip("\n")]))


def list_nodes(
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    commits: Commits = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """List every node with its state. It is fresh, stale, never built, needs arguments, or is an error."""
    enter(directory)
    from imgbake.app.planning import Planner, as_json

    project = _open(request(file, args, commits))
    steps = Planner(project).plan(tuple(project.graph.nodes))
    if format is Format.JSON:
        print_json(as_json(steps))
        return
    rows = [
        (step.node, step.state, "" if step.state == "never built" else "; ".join(step.why)) for step in steps
    ]
    _print_table(rows, ("NODE", "STATE", "WHY"))


def graph(
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    format: Annotated[GraphFormat, typer.Option("--format", help="The language.")] = GraphFormat.TEXT,
) -> None:
    """Print the graph of nodes."""
    enter(directory)
    from imgbake.app import drawing

    drawn = _open(request(file, args)).graph
    if format is GraphFormat.JSON:
        print_json(drawing.as_json(drawn))
    else:
        typer.echo(drawing.FORMATS[format.value](drawn))


def log(
    name: NodeName,
    file: File = RECIPE,
    directory: Directory = None,
    args: Args = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """Print the last log of a node."""
    enter(directory)
    from imgbake.app import opening
    from imgbake.errors import BakeError

    project = _open(request(file, args))
    node = opening.node(project, name)
    try:
        text = project.log_file(node).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        hint = "it has not run here, or printed nothing when it did"
        raise BakeError(f"{node} has no log", hint=hint) from None
    if format is Format.JSON:
        print_json({"node": node, "log": text})
    else:
        sys.stdout.write(text)


def plugins(
    kind: Annotated[str | None, typer.Argument(help="Show the options of this kind.")] = None,
    format: OutputFormat = Format.TEXT,
) -> None:
    """List the kinds that plugins add, or the options of one."""
    from imgbake.app import catalogue

    if kind is not None:
        options = catalogue.options(kind)
        if format is Format.JSON:
            print_json(options)
        else:
            rows = [(each.name, each.type, each.default, each.description) for each in options]
            _print_table(rows, ("OPTION", "TYPE", "DEFAULT", "MEANING"))
        return
    kinds = catalogue.kinds()
    if format is Format.JSON:
        print_json(kinds)
    else:
        rows = [(each.name, each.role, each.origin, each.summary) for each in kinds]
        _print_table(rows, ("KIND", "ADDS", "FROM", "WHAT IT DOES"))


def _open(wanted: Request) -> Project:
    from imgbake.app.opening import open_project

    return open_project(wanted, warn, is_read_only=True)


def _write(documents: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Writes each document to a file of its name, and gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for title, text in documents.items():
        (folder / title).write_text(text, "utf-8")
        yield folder / title


def _goals(project: Project, names: list[str] | None, kind: str) -> tuple[str, ...]:
    from imgbake.app import opening

    if kind or not names:
        kind = kind or ("image" if project.recipe.images else "task")
        return opening.goals(project, tuple(names or ()), kind)
    return tuple(dict.fromkeys(node for name in names for node in opening.either(project, name)))


def _explanation(found: Explained) -> Iterator[str]:
    from imgbake.app.planning import how_long_ago
    from imgbake.ui.tables import age, duration

    yield f"{found.node}: {found.state}"
    if found.last_run is not None:
        ran = f"last run {age(how_long_ago(found.last_run))}, in {duration(found.seconds)}"
        yield f"  {ran}: " + ("; ".join(found.last_why) or "nothing was different")
    for step in found.upstream:
        yield f"  {step.node} {step.action}: " + "; ".join(step.why)
    if not found.changes:
        yield from (f"  {reason}" for reason in found.why)
    for change in found.changes:
        yield f"  {change}"
        yield from (f"    {line}" for line in change.lines())


def _print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    from imgbake.ui.tables import table

    if rows:
        typer.echo(table(rows, header))


def _print_counts(steps: Sequence[Planned]) -> None:
    from imgbake.ui.tables import counted

    counts: dict[str, int] = {}
    for step in steps:
        counts[step.action] = counts.get(step.action, 0) + 1
    several = {"error": "errors", "needs arguments": "need arguments"}
    said = (counted(count, action, several.get(action, action)) for action, count in counts.items())
    typer.echo(", ".join(said) or "nothing to do", err=True)
