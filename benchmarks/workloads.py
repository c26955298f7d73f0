"""What is built in the benchmarks: the same work written down for each of the tools."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHAINS = 100


Writer = Callable[[Path, Sequence["Cat"]], None]


class Cat(NamedTuple):
    """A task: `cat` of some files into one."""

    sources: tuple[str, ...]
    output: str

    @property
    def command(self) -> str:
        """The command, the same for every tool."""
        return f"cat {' '.join(self.sources)} > {self.output}"


def chains(count: int, *, own: bool = False) -> list[Cat]:
    """`count` tasks in 100 chains, each task reading the file that the one before it made.

    With `own`, each of them reads a file of its own as well.
    """
    tasks = []
    for chain in range(CHAINS):
        before = f"c{chain:02}/0"
        for number in range(1, count // CHAINS + 1):
            output = f"c{chain:02}/{number}"
            extra = (f"c{chain:02}/{number}.in",) if own else ()
            tasks.append(Cat((before, *extra), output))
            before = output
    return tasks


def singles(count: int) -> list[Cat]:
    """`count` tasks that have nothing to do with each other."""
    return [Cat((f"in/{number}",), f"out/{number}") for number in range(count)]


def lay_out(folder: Path, tasks: Sequence[Cat], write: Writer) -> Path:
    """Makes a project for one tool: the sources, and the file that `write` writes."""
    made = {task.output for task in tasks}
    for task in tasks:
        (folder / task.output).parent.mkdir(parents=True, exist_ok=True)
        for source in task.sources:
            if source not in made:
                path = folder / source
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{source}\n")
    write(folder, tasks)
    return folder


def for_ninja(folder: Path, tasks: Sequence[Cat]) -> None:
    """Writes build.ninja."""
    lines = ["rule cat\n  command = cat $in > $out\n"]
    lines += [f"build {task.output}: cat {' '.join(task.sources)}\n" for task in tasks]
    (folder / "build.ninja").write_text("".join(lines))


def for_make(folder: Path, tasks: Sequence[Cat]) -> None:
    """Writes Makefile."""
    lines = [f"all: {' '.join(task.output for task in tasks)}\n.PHONY: all\n"]
    lines += [f"{task.output}: {' '.join(task.sources)}\n\t{task.command}\n" for task in tasks]
    (folder / "Makefile").write_text("".join(lines))


def for_doit(folder: Path, tasks: Sequence[Cat]) -> None:
    """Writes dodo.py."""
    rows = "".join(f"    ({list(task.sources)!r}, {task.output!r}),\n" for task in tasks)
    (folder / "dodo.py").write_text(
        f"TASKS = [\n{rows}]\n\n\ndef task_cat():\n    for sources, output in TASKS:\n"
        "        command = f\"cat {' '.join(sources)} > {output}\"\n"
        '        yield {"name": output, "actions": [command], "file_dep": sources, "targets": [output]}\n'
    )


def for_imgbake(folder: Path, tasks: Sequence[Cat]) -> None:
    """Writes imgbake.toml."""
    lines = ['[project]\nname = "cats"\n']
    for number, task in enumerate(tasks):
        inputs = ", ".join(f'"{source}"' for source in task.sources)
        lines.append(
            f'\n[tasks.t{number}]\nrun = "{task.command}"\ninputs = [{inputs}]\noutputs = ["{task.output}"]\n'
        )
    (folder / "imgbake.toml").write_text("".join(lines))


class Tree(NamedTuple):
    """A tree of files that was copied: how many, and their size in bytes."""

    files: int
    size: int


def copy_of_usr(folder: Path, files: int, size: int) -> Tree:
    """Copies about so many files of about so many bytes in all from /usr, always the same of one machine.

    Files are taken in the order of their names' digests, up to the length at which their sum fits.
    """
    found = sorted(_regular_files("/usr"), key=lambda item: hashlib.sha256(item[0].encode()).digest())
    shortest, longest = 0, max(length for _, length in found)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if sum(length for _, length in _up_to(found, middle, files)) <= size:
            shortest = middle
        else:
            longest = middle - 1
    chosen = _up_to(found, shortest, files)
    for path, _ in chosen:
        target = folder / path.removeprefix("/usr/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755 if Path(path).stat().st_mode & 0o100 else 0o644)
    return Tree(len(chosen), sum(length for _, length in chosen))


def _up_to(found: Sequence[tuple[str, int]], longest: int, count: int) -> list[tuple[str, int]]:
    return [item for item in found if item[1] <= longest][:count]


def _regular_files(folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _regular_files(entry.path)
            elif (
                entry.is_file(follow_symlinks=False)
                and entry.name.isascii()
                and os.access(entry.path, os.R_OK)
            ):
                yield entry.path, entry.stat(follow_symlinks=False).st_size
