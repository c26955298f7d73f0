"""The command line. Each command finds its use case in `imgbake.app` and shows what comes of it.

What is asked most often, in the plainest words, is a build that turns out to have nothing to do.
That is answered before Typer is loaded, which takes longer than the answer: see `shortcut`.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Runs a command line and exits: 0 done, 1 failed, 2 wrong recipe or usage, 70 our bug, 130 stopped."""
    gc.set_threshold(200_000, 20, 100)  # a run is short and makes many values that stay
    from imgbake.cli import shortcut

    try:
        if not shortcut.answers(sys.argv[1:]):
            from imgbake.cli.commands import app

            app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # every error ends here
        sys.exit(_refuse(error))


def _refuse(error: Exception) -> int:
    """Prints what is wrong, and gives the exit code."""
    from imgbake.errors import BakeError

    if isinstance(error, BakeError):
        print(f"error: {error.render()}", file=sys.stderr)  # noqa: T201  # the one place that prints errors
        return error.exit_code
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    import traceback

    traceback.print_exception(error)
    print("error: this is a bug in imgbake: please report it with the lines above", file=sys.stderr)  # noqa: T201
    return 70
