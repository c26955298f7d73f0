"""What is answered without Typer: the version, and what is asked for in plain words.

Plain words are `imgbake build`, `run`, `distribute` or `copy`, and names. Everything else takes the way
through Typer, which answers the same: the shortcut only saves the loading. Most runs have nothing to do,
and need nothing but `settled`: so nothing is imported here at the top.
"""

from __future__ import annotations

import os
import sys
import time

from imgbake import __version__

TYPE_CHECKING = False  # `typing` takes longer to import than most answers
if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgbake.engine.settled import Settled

KINDS = {"build": "image", "run": "task"}
RECIPE = "imgbake.toml"
DISTRIBUTE = "distribute"
COPY = "copy"
_FEWEST = 3  # words of a copy: itself, a source and a destination
STREAM = "stream"


def answer(argv: Sequence[str]) -> int | None:
    """Answers what needs no more than a look, and gives the exit code. None when there is more to do."""
    started = time.monotonic()
    if len(argv) == 1 and argv[0] == "--version":
        show_version()
        return 0
    found = _find(argv) if _is_plain(argv) else None
    if found is None:
        return None
    show_summary(found, time.monotonic() - started)
    show_result(found)
    return 0


def carry_out(argv: Sequence[str]) -> int | None:
    """Does what plain words ask for, when that is not settled, and gives the exit code. None when the words
    need to be parsed. Raises BakeError."""
    if not _is_plain(argv):
        return None
    names = list(argv[1:])
    if argv[0] in KINDS:
        from imgbake.cli import builds

        return builds.build(builds.Wanted(KINDS[argv[0]], names), builds.Shown())
    from imgbake.cli import deliveries
    from imgbake.cli.builds import Shown

    wanted = deliveries.Copied(names[0], names[1:]) if argv[0] == COPY else deliveries.Distributed(names)
    return deliveries.carry_out(wanted, Shown())


def _is_plain(argv: Sequence[str]) -> bool:
    if not argv or any(word.startswith("-") for word in argv):
        return False
    return argv[0] in KINDS or argv[0] == DISTRIBUTE or (argv[0] == COPY and len(argv) >= _FEWEST)


def _find(argv: Sequence[str]) -> Settled | None:
    """The settled run of plain words."""
    names = list(argv[1:])
    if argv[0] in KINDS:
        return find(key(KINDS[argv[0]], names, [RECIPE], None, None))
    if argv[0] == DISTRIBUTE:
        return find(distribution_key(names))
    return find(copy_key(names[0], names[1:]), place=copies())


def distribution_key(
    names: Sequence[str],
    file: str = RECIPE,
    args: Sequence[str] | None = None,
    commits: Sequence[str] | None = None,
    to: Sequence[str] = (),
) -> str:
    """The key of a distribution."""
    return key(DISTRIBUTE, names, [file], args, commits, to)


def copy_key(
    source: str,
    destinations: Sequence[str],
    platforms: Sequence[str] = (),
    *,
    referrers: bool = True,
    atomic: bool = True,
) -> str:
    """The key of a copy, from this folder."""
    return key(COPY, [os.getcwd(), source], destinations, platforms, [f"{referrers} {atomic}"])  # noqa: PTH109  # pathlib is slow


def copies() -> str:
    """Where copies are remembered: in the cache, for a copy leaves nothing where it is made."""
    from imgbake.store.folder import cache_folder

    return f"{cache_folder()}/copies"


def key(kind: str, *said: Sequence[str] | None) -> str:
    """The key of a run under which it is settled: what decides, of all that a command line says."""
    from imgbake.engine import settled

    return settled.key([kind, *(list(words or ()) for words in said)])


def find(key: str, file: str = RECIPE, place: str = "") -> Settled | None:
    """The settled run of this key in the project of this recipe, if nothing moved since. `place` is where
    it is remembered, if not in the project's state."""
    from imgbake.engine import settled

    return settled.find(os.path.dirname(file) or ".", key, os.environ, place)


def show_version() -> None:
    """Prints the version."""
    sys.stdout.write(f"imgbake {__version__}\n")


def show_result(found: Settled) -> None:
    """Prints what was built, for people."""
    sys.stdout.writelines(line + "\n" for line in found.lines)


def show_summary(found: Settled, seconds: float) -> None:
    """Says on stderr that there was nothing to do."""
    sys.stderr.write(f"nothing to do: {found.nodes} cached in {seconds:.2f} s\n")
