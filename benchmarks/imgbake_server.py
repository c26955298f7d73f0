"""An `imgbake serve` of our own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import measuring

_PATIENCE = 60.0  # seconds for it to start


class Server(NamedTuple):
    """How commands find it, and its process."""

    env: dict[str, str]
    pid: int


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server whose socket is in `folder`, ended afterwards. Raises SystemExit when it doesn't start."""
    (folder / "imgbake").mkdir(0o700, parents=True)
    env = {"XDG_RUNTIME_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        command = [measuring.imgbake(), "serve"]
        server = subprocess.Popen(command, env=measuring.environ(env), stdout=log, stderr=log)
    try:
        _await(folder / "log")
        yield Server(env, server.pid)
    finally:
        server.terminate()
        server.wait()


def _await(log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while "serving" not in log.read_text():
        if time.monotonic() > deadline:
            raise SystemExit(f"imgbake serve did not start: see {log}")
        time.sleep(0.1)
