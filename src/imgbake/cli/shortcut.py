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
_FEWEST = 3  # words of a copy: itself, a source and a destination
STREAM = "stream"


def answer(argv: Sequence[str]) -> int | None:
    """Answers, and gives the exit code. None when the words need to be parsed. Raises BakeError."""
    if len(argv) == 1 and argv[0] == "--version":
        show_version()
        return 0
    if not argv or any(word.startswith("-") for word in argv):
        return None
    if argv[0] in KINDS:
        return _build(argv)
    if argv[0] == "distribute" or (argv[0] == "copy" and len(argv) >= _FEWEST):
        return _distribute(argv)
    return None


def _build(argv: Sequence[str]) -> int:
    started = time.monotonic()
    kind, names = KINDS[argv[0]], list(argv[1:])
    found = find(key(kind, names, [RECIPE], None, None))
    if found is None:
        from imgbake.cli import builds

        return builds.build(builds.Wanted(kind, names), builds.Shown())
    show_summary(found, time.monotonic() - started)
    show_result(found)
    return 0


def _distribute(argv: Sequence[str]) -> int:
    started = time.monotonic()
    is_copy, names = argv[0] == "copy", list(argv[1:])
    found = find(copy_key(names[0], names[1:]), place=copies()) if is_copy else find(distribution_key(names))
    if found is None:
        from imgbake.cli import deliveries
        from imgbake.cli.builds import Shown

        wanted = deliveries.Copied(names[0], names[1:]) if is_copy else deliveries.Distributed(names)
        return deliveries.carry_out(wanted, Shown())
    show_summary(found, time.monotonic() - started)
    show_result(found)
    return 0


def distribution_key(
    names: Sequence[str],
    file: str = RECIPE,
    args: Sequence[str] | None = None,
    commits: Sequence[str] | None = None,
    to: Sequence[str] = (),
) -> str:
    """The key of a distribution."""
    return key("distribute", names, [file], args, commits, to)


def copy_key(
    source: str,
    destinations: Sequence[str],
    platforms: Sequence[str] = (),
    *,
    referrers: bool = True,
    atomic: bool = True,
) -> str:
    """The key of a copy, from this folder."""
    return key("copy", [os.getcwd(), source], destinations, platforms, [f"{referrers} {atomic}"])  # noqa: PTH109  # pathlib is slow


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
