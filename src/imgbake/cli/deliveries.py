"""A distribution or a copy, from what a command line asks for to what is printed of it, and the exit code.

Typer is not needed for that: the plainest command lines come here without it, see `shortcut`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from imgbake.cli import builds, shortcut
from imgbake.cli.words import RECIPE, Format, Progress, print_json, request, warn

if TYPE_CHECKING:
    from imgbake.app import copying, distributing
    from imgbake.app.distributing import Arrival, Outcome
    from imgbake.app.rolling_back import Back
    from imgbake.app.ways import Step
    from imgbake.cli.builds import Shown
    from imgbake.ui import Screen

T = TypeVar("T")


class Distributed(NamedTuple):
    """What is to be distributed."""

    names: list[str]  # all distributions without
    to: Sequence[str] = ()
    file: Path = RECIPE
    args: list[str] | None = None
    commits: list[str] | None = None
    jobs: int | None = None
    force: bool = False
    verifies_all: bool = False

    @property
    def key(self) -> str:
        """Under which it is settled, once nothing is left to do."""
        return shortcut.distribution_key(self.names, str(self.file), self.args, self.commits, self.to)

    @property
    def place(self) -> str:
        """Where that is remembered, if not in the project's state."""
        return ""

    @property
    def order(self) -> distributing.Order:
        """The same for the one who carries it out."""
        import msgspec

        from imgbake.app import building, distributing

        wanted = msgspec.structs.replace(request(self.file, self.args, self.commits), to=tuple(self.to))
        jobs = self.jobs or building.processors()
        return distributing.Order(
            wanted, tuple(self.names), jobs, self.force, self.verifies_all, self.key, self.place
        )

    def plan(self) -> tuple[Step, ...]:
        """What would be done."""
        from imgbake.app import distributing

        return distributing.plan(self.order, warn)

    def do(self, showing: distributing.Showing) -> Outcome:
        """Does it."""
        from imgbake.app import distributing

        return distributing.distribute(self.order, showing)


class Copied(NamedTuple):
    """What is to be copied."""

    source: str
    destinations: list[str]
    platforms: Sequence[str] = ()
    referrers: bool = True
    atomic: bool = True
    force: bool = False
    verifies_all: bool = False
    file: Path = RECIPE  # beside which is what paths are relative to, though there need not be any

    @property
    def key(self) -> str:
        """Under which it is settled, once nothing is left to do."""
        return shortcut.copy_key(
            self.source, self.destinations, self.platforms, referrers=self.referrers, atomic=self.atomic
        )

    @property
    def place(self) -> str:
        """Where that is remembered."""
        return shortcut.copies()

    @property
    def order(self) -> copying.Copy:
        """The same for the one who carries it out."""
        from imgbake.app import copying

        said: dict[str, Any] = {"platforms": list(self.platforms)} if self.platforms else {}
        said |= {} if self.referrers else {"referrers": False}
        destinations = tuple(self.destinations)
        return copying.Copy(
            self.source, destinations, said, self.atomic, self.force, self.verifies_all, self.key, self.place
        )

    def plan(self) -> tuple[Step, ...]:
        """What would be done."""
        from imgbake.app import copying

        return copying.plan(self.order, warn)

    def do(self, showing: distributing.Showing) -> Outcome:
        """Does it."""
        from imgbake.app import copying

        return copying.copy(self.order, showing)


Wanted = Distributed | Copied


def make(wanted: Wanted, shown: Shown) -> int:
    """Takes images where they are wanted, unless all is there. Raises BakeError when it can't begin."""
    started = time.monotonic()
    must_look = wanted.force or wanted.verifies_all
    found = None if must_look else shortcut.find(wanted.key, str(wanted.file), wanted.place)
    if found is None:
        return carry_out(wanted, shown)
    builds.show_settled(found, time.monotonic() - started, shown)
    return 0


def carry_out(wanted: Wanted, shown: Shown) -> int:
    """The same, when it is known that there is something to do."""
    from imgbake.app.distributing import Showing

    def work(screen: Screen) -> Outcome:
        return wanted.do(Showing([screen], warn, _announcing(shown.progress), _as_settled))

    outcome = _watched(shown.progress, work)
    if shown.format is Format.JSON:
        print_json(_document(outcome.arrivals, outcome.report.seconds))
    else:
        _print(_arrivals_table(outcome.arrivals))
    if isinstance(wanted, Distributed) and outcome.has_triggers and not outcome.report.was_interrupted:
        from imgbake.cli import triggering

        asked = request(wanted.file, wanted.args, wanted.commits)
        return triggering.after(outcome.exit_code, asked, shown.progress)
    return outcome.exit_code


def plan(wanted: Wanted, format: Format) -> int:
    """Prints what would be done."""
    steps = wanted.plan()
    if format is Format.JSON:
        print_json([{**_way(step), "action": step.action, "why": step.why} for step in steps])
    else:
        _print(_plan_table(steps))
    return int(any(step.action == "error" for step in steps))


def roll_back(wanted: Distributed, shown: Shown, *, dry_run: bool) -> int:
    """Puts names back. Raises BakeError when there is nothing to put back."""
    from imgbake.app import rolling_back
    from imgbake.app.distributing import exit_code
    from imgbake.errors import UsageError

    if wanted.force or wanted.verifies_all or wanted.commits:
        message = "--rollback goes with none of -B, --verify full and --commit"
        raise UsageError(message, hint="leave that out")
    order = wanted.order
    if dry_run:
        found = rolling_back.plan(order.request, wanted.names, warn)
        _show_back(found, shown.format, ("error", "ACTION"))
        return int(any(each.error for each in found))

    def work(screen: Screen) -> tuple[Back, ...]:
        return rolling_back.rollback(order.request, wanted.names, warn, [screen])

    backs = _watched(shown.progress, work)
    _show_back(backs, shown.format, ("failed", "RESULT"))
    return exit_code([not each.error for each in backs])


def _watched(progress: Progress, work: Callable[[Screen], T]) -> T:
    from imgbake import ui

    screen = ui.for_progress(progress.value, sys.stderr, os.environ)
    try:
        return work(screen)
    finally:
        screen.close()


def _announcing(progress: Progress) -> Callable[[Sequence[Step]], None]:
    """What shows the plan before it is carried out: on stderr, where progress is."""

    def show(steps: Sequence[Step]) -> None:
        if progress not in (Progress.QUIET, Progress.JSON):
            sys.stderr.write(_plan_table(steps) + "\n")

    return show


def _as_settled(arrivals: Sequence[Arrival]) -> tuple[Sequence[str], str]:
    """The lines and the document of a run with nothing to do."""
    import msgspec

    document = msgspec.json.encode(_document(arrivals, 0.0)).decode()
    return _arrivals_table(arrivals).splitlines(), document


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _plan_table(steps: Sequence[Step]) -> str:
    from imgbake.ui.tables import table

    rows = [(step.action, step.way.image, step.way.destination, _names(step), step.why) for step in steps]
    return table(rows, ("ACTION", "IMAGE", "DESTINATION", "NAMES", "WHY"))


def _names(step: Step) -> str:
    return ", ".join(map(_shorter, step.way.pointers))


def _shorter(pointer: str) -> str:
    """A name with its tag, without where it is; one that has none as it is."""
    last = pointer.rpartition("/")[2]
    return last if ":" in last else pointer


def _document(arrivals: Sequence[Arrival], seconds: float) -> dict[str, object]:
    rows = [
        {**_way(each), "result": each.result, "sent": each.sent, "seconds": round(each.seconds, 3),
         "reference": each.reference, "facts": each.facts, "error": each.error}
        for each in arrivals
    ]  # fmt: skip
    return {"seconds": round(seconds, 3), "arrivals": rows}


def _way(each: Step | Arrival) -> dict[str, object]:
    way = each.way
    return {
        "distribution": way.distribution,
        "image": way.image,
        "destination": way.destination,
        "pointers": list(way.pointers),
    }


def _arrivals_table(arrivals: Sequence[Arrival]) -> str:
    from imgbake.ui.tables import duration, size, table

    rows = []
    for each in arrivals:
        rate = f"{size(each.sent / each.seconds)}/s" if each.sent and each.seconds else ""
        last = each.error.partition("\n")[0] or each.reference
        way = each.way
        rows.append(
            (each.result, way.image, way.destination, size(each.sent), rate, duration(each.seconds), last)
        )
    return table(
        rows, ("RESULT", "IMAGE", "DESTINATION", "SENT", "RATE", "TIME", "REFERENCE"), right=(3, 4, 5)
    )


def _show_back(found: Sequence[Back], format: Format, words: tuple[str, str]) -> None:
    """Prints what became of names, or would; `words` are for one that can't be put back, and the heading."""
    if format is Format.JSON:
        print_json(
            [
                {"pointer": each.move.pointer, "reference": each.move.before, "error": each.error}
                for each in found
            ]
        )
    else:
        from imgbake.ui.tables import table

        rows = [
            (
                words[0] if each.error else "put back",
                each.move.pointer,
                each.error.removeprefix(f"{each.move.pointer} ") or each.move.before or "removed",
            )
            for each in found
        ]
        _print(table(rows, (words[1], "NAME", "MEANS")))
