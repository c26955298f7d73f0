"""What is answered without Typer: the version, and builds that are asked for in plain words.

Plain words are `imgbake build` or `imgbake run`, and names. Everything else takes the way through Typer
and `making`, which answers the same: the shortcut only saves the loading. Most builds have nothing to
do, and need nothing but `settled`: so nothing is imported here at the top.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgbake import __version__

if TYPE_CHECKING:
    from imgbake.engine.settled import Settled

KINDS = {"build": "image", "run": "task"}
RECIPE = "imgbake.toml"


def answer(argv: Sequence[str]) -> int | None:
    """Answers, and gives the exit code. None when the words need to be parsed. Raises BakeError."""
    if len(argv) == 1 and argv[0] == "--version":
        show_version()
        return 0
    if not argv or argv[0] not in KINDS or any(word.startswith("-") for word in argv):
        return None
    started = time.monotonic()
    kind, names = KINDS[argv[0]], list(argv[1:])
    found = find(key(kind, names))
    if found is None:
        from imgbake.cli import builds

        return builds.build(builds.Wanted(kind, names), builds.Shown())
    show_summary(found, time.monotonic() - started)
    show_result(found)
    return 0


def key(
    kind: str,
    names: Sequence[str] | None,
    file: str = RECIPE,
    args: Sequence[str] | None = None,
    commits: Sequence[str] | None = None,
) -> str:
    """The key of a build under which it is settled: what decides, of all that a command line says."""
    from imgbake.engine import settled

    return settled.key([kind, *(list(words or ()) for words in (names, [file], args, commits))])


def find(key: str, file: str = RECIPE) -> Settled | None:
    """The settled build of this key in the project of this recipe, if nothing moved since."""
    from pathlib import Path

    from imgbake.engine import settled

    return settled.find(Path(file).parent, key, os.environ)


def show_version() -> None:
    """Prints the version."""
    sys.stdout.write(f"imgbake {__version__}\n")


def show_result(found: Settled) -> None:
    """Prints what was built, for people."""
    sys.stdout.writelines(line + "\n" for line in found.lines)


def show_summary(found: Settled, seconds: float) -> None:
    """Says on stderr that there was nothing to do."""
    sys.stderr.write(f"nothing to do: {found.nodes} cached in {seconds:.2f} s\n")
