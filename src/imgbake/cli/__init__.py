"""The command line. Each command finds its use case in `imgbake.app` and shows what comes of it.

What is asked most often, in the plainest words, is a build, and mostly it turns out to have nothing to
do. That is answered without Typer, which takes longer to load than the answer: see `shortcut`. The rest is
handed to a server that has loaded everything, where there is one: see `imgbake.serving`.
"""

from __future__ import annotations

import gc
import io
import os
import sys

TYPE_CHECKING = False  # `typing` and `contextlib` take longer to import than an answer to most builds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from typer import Typer

    Way = Callable[[Sequence[str]], int | None]

# What is not handed to a server: itself, what has a terminal to itself, and what looks who its parents are.
_HERE = {"serve", "shell", "--install-completion", "--show-completion"}


def main() -> NoReturn:
    """The program: runs its command line and ends the process."""
    gc.set_threshold(200_000, 20, 100)  # a run is short and makes many values that stay
    _leave_ascii()
    _open_closed()
    _print_all()
    _end(_run(sys.argv[1:], _settled, _served, _carried_out))


def carry_out(argv: Sequence[str]) -> NoReturn:
    """Carries out a command line that has something to do, and ends the process."""
    _end(_run(argv, _carried_out))


def _end(code: int) -> NoReturn:
    try:  # noqa: SIM105  # `contextlib` is slow to import
        sys.stderr.flush()
    except OSError:
        pass
    os._exit(code)  # all is closed and written; freeing each value would take long after a large build


def _leave_ascii() -> None:
    """Starts Python anew where names of files are ASCII to it: those in recipes and images are UTF-8.

    It is so in the locale C with PYTHONUTF8=0, which `-X utf8` overrules.
    """
    if sys.getfilesystemencoding() == "ascii":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _print_all() -> None:
    """Has characters that stdout can't show spelled out, as on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _open_closed() -> None:
    """Opens what our parent closed of stdin, stdout and stderr, lest some file take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, errors="replace"))  # noqa: SIM115  # for as long as we run


def run(argv: Sequence[str]) -> int:
    """Runs a command line in this process. Returns 0 done, 1 failed, 2 wrong recipe or usage, 3 some
    destinations failed, 70 our bug, 130 stopped."""
    return _run(argv, _settled, _carried_out)


def _run(argv: Sequence[str], *ways: Way) -> int:
    """Runs a command line in the first of these ways that can. Returns the exit code."""
    code = 1
    try:
        code = _tried(argv, ways)
        sys.stdout.flush()
    except BrokenPipeError:
        return 1
    except OSError as error:  # the disk that stdout goes to is full, say
        return code or _refuse(error)
    return code


def _tried(argv: Sequence[str], ways: Sequence[Way]) -> int:
    try:
        return next(code for way in ways if (code := way(argv)) is not None)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # every error ends here
        return _refuse(error)


def _settled(argv: Sequence[str]) -> int | None:
    from imgbake.cli import shortcut

    return shortcut.answer(argv)


def _served(argv: Sequence[str]) -> int | None:
    from imgbake.serving import place

    if not _HERE.isdisjoint(argv) or not place.is_served():
        return None
    from imgbake.serving import asking

    return asking.ask(argv)


def _carried_out(argv: Sequence[str]) -> int:
    from imgbake.cli import shortcut

    code = shortcut.carry_out(argv)
    if code is not None:
        return code
    if argv[:1] == [shortcut.STREAM]:  # spares the loading of all other commands
        from imgbake.cli.streams import app

        _ask(app, argv[1:], f"imgbake {shortcut.STREAM}")
    else:
        from imgbake.cli.commands import app

        _ask(app, argv, "imgbake")
    return 0


def _ask(app: Typer, words: Sequence[str], name: str) -> None:
    from imgbake.cli.narrowing import narrowed

    narrowed(app, words)(list(words), prog_name=name)


def _refuse(error: Exception) -> int:
    """Prints what is wrong, and gives the exit code."""
    from imgbake.errors import BakeError

    error = _or_nowhere(error)
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


def _or_nowhere(error: Exception) -> Exception:
    """The error; or, if it is that something isn't there, that the folder in which we are isn't."""
    if isinstance(error, FileNotFoundError) or isinstance(error.__context__, FileNotFoundError):
        try:
            os.getcwd()  # noqa: PTH109  # pathlib is slow
        except FileNotFoundError:
            from imgbake.errors import UsageError

            return UsageError("the folder that you are in was removed", hint="change to one that is there")
    return error
