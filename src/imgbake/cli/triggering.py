"""Triggers, from a command that may have moved tags to what is printed of them: on stderr, like progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgbake.cli.words import Progress, warn

if TYPE_CHECKING:
    from imgbake.app.opening import Request
    from imgbake.app.triggering import Firing


def fire(request: Request, progress: Progress = Progress.AUTO) -> bool:
    """Starts the triggers that are due. Did all go well? Raises BakeError when it can't begin."""
    return all(each.result == "fired" for each in start(request, progress))


def start(
    request: Request, progress: Progress = Progress.AUTO, names: Sequence[str] = ()
) -> Sequence[Firing]:
    """The same, of all or of those that are named: what became of each."""
    from imgbake.app import triggering

    if not request.file.exists():
        return ()  # nothing says what to do
    return triggering.fire(request, _Makers(request, progress), warn, _show, names)


def after(code: int, request: Request, progress: Progress = Progress.AUTO) -> int:
    """Starts the triggers of what a command has moved, though others of it failed. Returns its exit code."""
    went_well = fire(request, progress)
    return code or int(not went_well)


class _Makers:
    """Builds, runs and distributes as the commands do, and shows it as they do."""

    def __init__(self, request: Request, progress: Progress) -> None:
        self._request = request
        self._progress = progress

    def build(self, names: Sequence[str]) -> None:
        self._make("image", names)

    def run(self, names: Sequence[str]) -> None:
        self._make("task", names, force=True)

    def distribute(self, names: Sequence[str]) -> None:
        from imgbake import ui
        from imgbake.app import building, distributing
        from imgbake.errors import BakeError, Interrupted

        order = distributing.Order(self._request, tuple(names), building.processors())
        screen = ui.for_progress(self._progress.value, sys.stderr, os.environ)
        try:
            showing = distributing.Showing([screen], warn, lambda steps: None, lambda arrivals: ((), ""))
            outcome = distributing.distribute(order, showing)
        finally:
            screen.close()
        if outcome.report.was_interrupted:
            raise Interrupted
        if outcome.exit_code:
            raise BakeError(f"not all of {', '.join(names)} arrived", hint="`imgbake distribute` goes on")

    def _make(self, kind: str, names: Sequence[str], *, force: bool = False) -> None:
        from imgbake import ui
        from imgbake.app import building
        from imgbake.errors import BakeError, Interrupted

        order = building.Order(self._request, kind, tuple(names), building.processors(), force=force)
        screen = ui.for_progress(self._progress.value, sys.stderr, os.environ)
        try:
            report = building.build(order, [screen], warn).report
        finally:
            screen.close()
        if report.was_interrupted:
            raise Interrupted
        failed = [name for name, result in report.results.items() if result.outcome == "failed"]
        if failed:
            raise BakeError(f"{', '.join(failed)} failed", hint=f"`imgbake log {failed[0]}` shows why")


def _show(firing: Firing) -> None:
    if firing.result == "fired":
        done = ", ".join(firing.done) or "there was nothing to do"
        sys.stderr.write(f"trigger {firing.trigger}: {firing.tag} points to {firing.image}: {done}\n")
        return
    sys.stderr.write(
        f"trigger {firing.trigger}: {firing.tag} points to {firing.image}: failed: {firing.error}\n"
    )
    if firing.hint:
        sys.stderr.write(f"  hint: {firing.hint}\n")
