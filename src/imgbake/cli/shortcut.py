"""Builds with nothing to do, asked for in the plainest words: `imgbake build` or `imgbake run`, and names.

Everything else, and every build that has something to do, takes the way through Typer and `making`,
which answers the same: the shortcut only saves the loading.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from imgbake.engine import settled
from imgbake.engine.settled import Settled

KINDS = {"build": "image", "run": "task"}
RECIPE = Path("imgbake.toml")


def answers(argv: Sequence[str]) -> bool:
    """Shows the result of a build that was settled before. False when the words need to be parsed."""
    started = time.monotonic()
    if not argv or argv[0] not in KINDS or any(word.startswith("-") for word in argv):
        return False
    found = settled.find(RECIPE.parent, key(KINDS[argv[0]], argv[1:]), os.environ)
    if found is None:
        return False
    show_summary(found, time.monotonic() - started)
    show_result(found)
    return True


def key(
    kind: str,
    names: Sequence[str] | None,
    file: Path = RECIPE,
    args: Sequence[str] | None = None,
    commits: Sequence[str] | None = None,
) -> str:
    """The key of a build under which it is settled: what decides, of all that a command line says."""
    return settled.key([kind, *(list(words or ()) for words in (names, [str(file)], args, commits))])


def show_result(found: Settled) -> None:
    """Prints what was built, for people."""
    sys.stdout.writelines(line + "\n" for line in found.lines)


def show_summary(found: Settled, seconds: float) -> None:
    """Says on stderr that there was nothing to do."""
    sys.stderr.write(f"nothing to do: {found.nodes} cached in {seconds:.2f} s\n")
