"""Builds in which nothing changed: 10,000 and 100,000 tasks, ours against ninja, make and doit.

The tasks are 100 chains of `cat in > out`. The first build makes everything. The second one meets files
that are too young to prove anything, and reads them again: it is shown, but what counts is every build
after it.

make comes in two forms, because its time depends on what it is given. For every file that no rule makes,
it tries its built-in rules, unless it is told not to (-rR). In the chains there are 100 such files, and
it is fast in both forms. In the second workload each task also reads a source of its own, as is common:
there are 10,000 more such files, and make as it is takes thirty times as long.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import measuring
import workloads
from measuring import Contestant, Figures, alternate, judge, ratio, show
from workloads import Cat, Writer

OURS = "imgbake run"


def main() -> None:
    """Measures, and prints."""
    parser = measuring.options(__doc__, 7)
    parser.add_argument("--tasks", type=int, default=10_000, help="how many tasks (10000)")
    parser.add_argument("--many", type=int, default=100_000, help="how many in the large run, 0 for none")
    arguments = parser.parse_args()
    with measuring.workplace(arguments) as folder:
        few = _measure(folder / "chains", workloads.chains(arguments.tasks), arguments)
        _judge(few)
        own = _measure(folder / "sources", workloads.chains(arguments.tasks, own=True), arguments)
        _judge(own)
        if arguments.many:
            many = _measure(folder / "many", workloads.chains(arguments.many), arguments, with_doit=False)
            times = arguments.many / arguments.tasks * 1.1
            judge(
                f"time for {arguments.many} tasks, to {arguments.tasks}",
                many[OURS].median / few[OURS].median,
                times,
            )


def _measure(
    folder: Path, tasks: list[Cat], arguments: argparse.Namespace, *, with_doit: bool = True
) -> dict[str, Figures]:
    contestants = _contestants(folder, tasks, with_doit=with_doit)
    sources = len({source for task in tasks for source in task.sources} - {task.output for task in tasks})
    what = f"{len(tasks)} tasks, {sources} files that none of them makes"
    show(f"{what}: everything to do", alternate(contestants, 1), OURS)
    show(f"{what}: the build after it", alternate(contestants, 1), OURS)
    figures = alternate(contestants, arguments.rounds)
    show(f"{what}: nothing to do", figures, OURS)
    return figures


def _contestants(folder: Path, tasks: list[Cat], *, with_doit: bool) -> list[Contestant]:
    def project(name: str, write: Writer) -> Path:
        measuring.apart(partial(workloads.lay_out, folder / name, tasks, write))
        return folder / name

    ours = project("imgbake", workloads.for_imgbake)
    env = {"XDG_CACHE_HOME": str(folder / "cache")}
    found = [Contestant(OURS, [measuring.imgbake(), "run"], ours, env)]
    if ninja := measuring.tool("ninja"):
        found.append(Contestant("ninja", [ninja], project("ninja", workloads.for_ninja)))
    if make := measuring.tool("make"):
        found.append(Contestant("make", [make, "-j2"], project("make", workloads.for_make)))
        found.append(Contestant("make -rR", [make, "-rR", "-j2"], project("make-rR", workloads.for_make)))
    if with_doit and (doit := measuring.tool("doit")):
        found.append(Contestant("doit", [doit], project("doit", workloads.for_doit)))
    return found


def _judge(figures: dict[str, Figures]) -> None:
    judge("time, to ninja's", ratio(figures, OURS, "ninja"), 5)
    judge("time, to doit's", ratio(figures, OURS, "doit"), 1 / 3)
    judge("time, to make's", ratio(figures, OURS, "make"), 1 / 8)
    judge("peak memory", figures[OURS].peak / 1e6, 150, unit=" MB")


if __name__ == "__main__":
    main()
