"""`imgbake serve`."""

from __future__ import annotations

import contextlib
import os
import sys

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(serve)


def serve() -> None:
    """Wait with all loaded, so that commands start at once.

    Commands that have something to do are handed over by themselves, and run as they would where they were
    typed: in that folder, with that environment and those files. Only yours are taken, and only those with
    the same limits, rights and namespaces. Ctrl-C ends it.
    """
    if sys.platform != "linux":
        from imgbake.errors import BakeError

        raise BakeError("imgbake serve is for Linux alone", hint="commands run as well without it")
    from imgbake.cli import carry_out
    from imgbake.serving.loading import load_all
    from imgbake.serving.server import Server

    load_all()
    if Server(carry_out, _say).serve():
        _say("the code of imgbake or of a plugin has changed: starting anew")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # the same command


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # its terminal is closed, say, and forks serve all the same
        os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))
