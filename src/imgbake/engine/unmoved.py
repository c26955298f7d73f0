"""Which nodes need not be judged, because no file moved that they look at. Pure.

A build that follows a settled one knows which files moved since. As long as those are files that tasks
name one by one, the other such tasks see what they saw, and are what they were; whether all before them
stayed as well is seen when they are reached. Anything else that moved, such as a folder in which a
pattern looks for files, a program or the recipe, means that every node is judged.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgbake.engine.graph import Graph, Node
from imgbake.files import glob
from imgbake.model import Task


def nodes(graph: Graph, names: Iterable[str], moved: set[str]) -> frozenset[str]:
    """Those of the nodes that look at none of the paths that moved."""
    named = {name: paths for name in names if (paths := _named(graph.nodes[name])) is not None}
    if not moved.issubset(path for paths in named.values() for path in paths):
        return frozenset()
    return frozenset(name for name, paths in named.items() if moved.isdisjoint(paths))


def _named(node: Node) -> list[str] | None:
    """The files that a task names, as they are looked at; None when it may look at others."""
    task = node.work
    if not isinstance(task, Task) or task.always or not (task.inputs and node.outputs):
        return None
    paths = [*task.inputs, *node.outputs]
    if not all(map(glob.is_literal, paths)):
        return None
    return [glob.normal(path) for path in paths]
