"""Which tasks write what: a path or pattern to the tasks whose outputs it can match. Pure.

What a task reads and another writes is order in the graph; what two write is a fault of the recipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from imgbake.files import glob
from imgbake.model import Task
from imgbake.recipe.faults import Fault


class Writers:
    """Who writes what."""

    def __init__(self, outputs: Mapping[str, Sequence[str]]) -> None:
        """`outputs` are the literal paths and patterns that each task writes."""
        self._exact: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}  # a folder to the tasks with literal outputs in it
        self._wild: list[tuple[str, str]] = []  # pattern, task
        for task, patterns in outputs.items():
            for pattern in patterns:
                self._add(task, pattern.rstrip("/"))

    def _add(self, task: str, pattern: str) -> None:
        if not glob.is_literal(pattern):
            self._wild.append((pattern, task))
            return
        self._exact.setdefault(pattern, []).append(task)
        for folder in _folders(pattern):
            self._below.setdefault(folder, []).append(task)

    def of(self, patterns: Iterable[str]) -> Iterator[str]:
        """The tasks that write what one of these patterns can match."""
        for pattern in patterns:
            plain = pattern.rstrip("/")
            if glob.is_literal(plain):
                yield from self._exact.get(plain, ())
                yield from self._below.get(plain, ())
                for folder in _folders(plain):
                    yield from self._exact.get(folder, ())
            else:
                yield from self._literal_matches(plain)
            for written, task in self._wild:
                if glob.overlaps(plain, written):
                    yield task

    def _literal_matches(self, pattern: str) -> Iterator[str]:
        prefix = glob.static_prefix(pattern).rstrip("/")
        candidates = set(self._below.get(prefix, ())) if prefix not in ("", ".") else None
        for literal, tasks in self._exact.items():
            if candidates is not None and candidates.isdisjoint(tasks) and literal != prefix:
                continue
            if glob.overlaps(pattern, literal):
                yield from tasks

    def clashes(self, tasks: Mapping[str, Task]) -> Iterator[Fault]:
        """Outputs that two tasks would write."""
        said: set[tuple[str, str]] = set()
        for literal, owners in self._exact.items():
            inside = [name for folder in _folders(literal) for name in self._exact.get(folder, ())]
            for first, second in [*_pairs(owners), *((name, owners[0]) for name in inside)]:
                yield from _clash(first, second, literal, tasks, said)
        for index, (pattern, owner) in enumerate(self._wild):
            others = [
                *self._wild[:index],
                *((text, name) for text, names in self._exact.items() for name in names),
            ]
            for text, name in others:
                if name != owner and glob.overlaps(pattern, text):
                    yield from _clash(name, owner, pattern, tasks, said)


def _pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((names[0], name) for name in names[1:])


def _clash(
    first: str, second: str, output: str, tasks: Mapping[str, Task], said: set[tuple[str, str]]
) -> Iterator[Fault]:
    if first == second or (first, second) in said:
        return
    said.add((first, second))
    message = f"tasks '{first}' and '{second}' both write '{output}'"
    hint = "give each its own file or folder; if one only adds to the other's, make them one task"
    yield Fault(at=tasks[second].at / "outputs", message=message, hint=hint)


def _folders(path: str) -> Iterator[str]:
    """The folders above a path, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
