"""Builds that have work to do: 1,000 tasks from nothing, and one changed source of 10,000 tasks.

All tools run with -j2. Ours keeps a copy of every output in its store, which none of the others does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import measuring
import workloads
from measuring import Contestant, Figures, alternate, judge, ratio, show
from workloads import Cat, Writer

OURS = "imgbake run"
WRITERS: dict[str, Writer] = {
    OURS: workloads.for_imgbake,
    "ninja": workloads.for_ninja,
    "make -rR": workloads.for_make,
    "doit": workloads.for_doit,
}


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 5)
    parser.add_argument("--tasks", type=int, default=1_000, help="how many tasks are made (1000)")
    parser.add_argument(
        "--many", type=int, default=10_000, help="of how many one changes (10000), 0 for none"
    )
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder:
        made = _from_nothing(folder / "all", workloads.singles(arguments.tasks), arguments.rounds)
        judge("time, to ninja's", ratio(made, OURS, "ninja"), 2)
        judge("time, to doit's", ratio(made, OURS, "doit"), 1)
        if arguments.many:
            _one_changed(folder / "one", workloads.singles(arguments.many), arguments.rounds)


def _from_nothing(folder: Path, tasks: list[Cat], rounds: int) -> dict[str, Figures]:
    def forget(project: Path) -> None:
        leftovers = ("out", ".imgbake", ".ninja_log", ".ninja_deps", ".doit.db.db", ".doit.db", "cache")
        measuring.set_aside(*(project / name for name in leftovers))
        (project / "out").mkdir()

    contestants = _contestants(folder, tasks, forget)
    figures = alternate(contestants, rounds)
    show(f"{len(tasks)} tasks of one cat each, from nothing", figures, OURS)
    return figures


def _one_changed(folder: Path, tasks: list[Cat], rounds: int) -> None:
    """A chain reaction of one: a source that one task reads, changed before each build."""
    number = itertools.count()

    def change(project: Path) -> None:
        (project / tasks[0].sources[0]).write_text(f"change {next(number)}\n")

    contestants = _contestants(folder, tasks, change)
    alternate(contestants, 2)  # makes everything, then proves that nothing else moves
    show(f"one changed of {len(tasks)} tasks", alternate(contestants, rounds), OURS)


def _contestants(folder: Path, tasks: list[Cat], before: Callable[[Path], object]) -> list[Contestant]:
    found = []
    for name, write in WRITERS.items():
        program = measuring.imgbake() if name == OURS else measuring.tool(name.split()[0])
        if program is None:
            continue
        project = folder / name.split()[0]
        measuring.apart(partial(workloads.lay_out, project, tasks, write))
        command = [program, *name.split()[1:], *(["-n", "2"] if name == "doit" else ["-j2"])]
        env = {"XDG_CACHE_HOME": str(project / "cache")}
        found.append(Contestant(name, command, project, env, partial(before, project)))
    return found


if __name__ == "__main__":
    main()
