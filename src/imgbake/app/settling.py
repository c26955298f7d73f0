"""What a run that left nothing to do writes down, so that the next need only see that nothing moved."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from imgbake.engine import keeping, lockfile, settled
from imgbake.engine.engine import Report
from imgbake.engine.project import Project
from imgbake.files.witness import ABSENT, is_settled
from imgbake.recipe import saved

Shown = Callable[[], tuple[Sequence[str], str]]
"""How a run with nothing to do is shown: the lines of its result, and its JSON document."""


def remember(project: Project, key: str, report: Report, shown: Shown, place: str = "") -> int:
    """Remembers a run under its key, in the project's state or in another folder.

    Returns the number that stands for all that was looked at; 0 when the run was not fit, because there
    is something to do again, or something outside of this machine that can't be asked in short.
    """
    project.files.settle()
    project.files.save()
    if not key or not report.is_settled or None in project.questions.values():
        return 0
    read = _read(project)
    for path in read:
        project.watch(path)
    seen = project.files.seen
    if not all(is_settled(seen[path], project.opened) for path in read) or _is_gone(project):
        return 0  # somebody has edited it meanwhile
    lines, document = shown()
    questions = [asked for asked in project.questions.values() if asked is not None]
    kept = settled.Settled(len(report.results), list(lines), document, questions)
    place = place or settled.folder(project.root)
    return keeping.keep(place, key, kept, project.files.seen, project.env_read)


def _read(project: Project) -> list[str]:
    """What was read when the project was opened, or would have been, had it been there."""
    return [*project.recipe.files, *project.recipe.folders, *_own(project), *_environment(project)]


def _own(project: Project) -> tuple[str, str]:
    """What is ours beside the recipe: the lock, and the arguments that were saved."""
    return str(project.root / lockfile.NAME), str(project.state / saved.NAME)


def _is_gone(project: Project) -> bool:
    """Was something removed since it was read?"""
    lock, args = _own(project)
    were = {lock: bool(project.lock.tables), args: project.has_saved_args}
    files = (*project.recipe.files, *(path for path, was in were.items() if was))
    return any(project.files.seen[path] == ABSENT for path in files)


def _environment(project: Project) -> Iterator[str]:
    """What shows that a plugin was installed, removed or edited."""
    yield from filter(None, sys.path)
    yield from project.plugins.files()
