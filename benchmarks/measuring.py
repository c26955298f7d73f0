"""Times commands against each other: in turn, several rounds, medians; and prints what came of it.

Peak memory is what the kernel counted for the command and its children (`ru_maxrss`). It is never
less than that of the process that starts them, so workloads are made `apart`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20


class Cost(NamedTuple):
    """What one run took: wall time, CPU time of all its processes, and the most memory of one, in bytes."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Contestant:
    """A command that is measured. What `before` does in each round isn't timed.

    `servers` are daemons that work for it: their CPU time and memory count as its own.
    """

    name: str
    command: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    servers: Sequence[int] = ()


class Figures:
    """The costs of one contestant."""

    def __init__(self, costs: Sequence[Cost]) -> None:
        self.median = statistics.median(cost.seconds for cost in costs)
        self.best = min(cost.seconds for cost in costs)
        self.cpu = statistics.median(cost.cpu for cost in costs)
        self.peak = max(cost.peak for cost in costs)


def run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> Cost:
    """Runs a command to its end. Exits with its output when it fails: there is nothing to compare then."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            text = output.read()[-4000:].decode("utf-8", "replace")
            sys.exit(f"{text}\n{' '.join(command)} in {folder} ended with {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def alternate(contestants: Sequence[Contestant], rounds: int) -> dict[str, Figures]:
    """Runs all of them in each round, each time another one first, so that what the machine does
    besides hits them alike."""
    costs: dict[str, list[Cost]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            if contestant.before:
                contestant.before()
            costs[contestant.name].append(_cost(contestant))
    return {name: Figures(found) for name, found in costs.items()}


def show(title: str, figures: Mapping[str, Figures], ours: str) -> None:
    """Prints a table. The last column says how many times ours a peer took."""
    print(f"\n{title}\n  {'':<34}{'median':>10}{'best':>10}{'CPU':>10}{'memory':>10}{'to ours':>10}")
    for name, found in figures.items():
        ratio = "" if name == ours else f"{found.median / figures[ours].median:.2f}x"
        times = "".join(f"{_time(seconds):>10}" for seconds in (found.median, found.best, found.cpu))
        print(f"  {name:<34}{times}{found.peak / MIB:>7.0f} MB{ratio:>10}", flush=True)


def judge(
    what: str, measured: float | None, limit: float, *, at_least: bool = False, unit: str = "x"
) -> None:
    """Prints whether a target was met. `measured` is None when there was nothing to compare with."""
    wanted = f"{what}: {'at least' if at_least else 'at most'} {limit:.3g}{unit}"
    if measured is None:
        print(f"  not measured  {wanted}", flush=True)
        return
    is_met = measured >= limit if at_least else measured <= limit
    print(f"  {'met' if is_met else 'MISSED':<12}  {wanted}, is {measured:.3g}{unit}", flush=True)


def ratio(figures: Mapping[str, Figures], name: str, to: str) -> float | None:
    """How many times the median of another one contestant took; None when one of them didn't run."""
    if name not in figures or to not in figures:
        return None
    return figures[name].median / figures[to].median


def cpu(pid: int) -> float:
    """CPU seconds of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def tool(name: str) -> str | None:
    """The path of a program: the one beside this Python, or the one on PATH."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    path = shutil.which(name)
    if path is None:
        print(f"{name} isn't installed: it isn't compared with", file=sys.stderr)
    return path


def imgbake() -> str:
    """The imgbake of this Python environment."""
    path = tool("imgbake")
    if path is None:
        sys.exit("imgbake isn't installed beside this Python: pip install -e .")
    return path


def environ(added: Mapping[str, str]) -> dict[str, str]:
    """Our environment with some variables added, and none that keep Python from using what it compiled:
    what pip installs is compiled, and a checkout is when it first runs."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **added}


def apart(work: Callable[[], object]) -> None:
    """Does some work in a process of its own, so that its memory isn't counted as a contestant's."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit("a workload could not be made")


def empty(*folders: Path) -> None:
    """Removes folders with all that is in them."""
    for folder in folders:
        if folder.exists():
            subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def set_aside(*paths: Path) -> None:
    """Moves away what a round made, to be removed in the end.

    Removing it at once would slow down the next one: ext4 steps over each inode that was freed lately.
    """
    for path in paths:
        if path.exists():
            path.rename(path.with_name(f".aside-{path.name}-{time.monotonic_ns()}"))


@contextmanager
def workplace(arguments: argparse.Namespace) -> Iterator[Path]:
    """The folder to work in: the one that was asked for, which stays, or one that is removed again."""
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
        yield arguments.work.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="imgbake-bench-"))
    try:
        yield folder
    finally:
        empty(folder)


def options(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each is repeated ({rounds})")
    parser.add_argument("--work", type=Path, help="a folder to work in, kept afterwards")
    return parser


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _cost(contestant: Contestant) -> Cost:
    os.sync()  # or the next one waits for what the one before has still to write
    for pid in contestant.servers:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # forgets the peak (proc(5))
    before = sum(cpu(pid) for pid in contestant.servers)
    own = run(contestant.command, contestant.folder, contestant.env)
    used = own.cpu + sum(cpu(pid) for pid in contestant.servers) - before
    return Cost(own.seconds, used, max(own.peak, *map(_peak, contestant.servers), 0))


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
