"""A registry of our own on loopback: Debian's docker-registry, the one of the distribution project."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measuring

_PATIENCE = 30.0  # seconds for it to start, and to end
_CONFIGURATION = """\
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/content }} }}
http: {{ addr: {host} }}
"""


@contextmanager
def running(folder: Path) -> Iterator[str | None]:
    """Its host and port; it is ended afterwards. What it holds is below `content`, and may be removed
    while it runs. None where it isn't installed or can't be started."""
    if not measuring.tool("docker-registry"):
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIGURATION.format(folder=folder, host=f"127.0.0.1:{port}"))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        yield f"127.0.0.1:{port}" if _answers(port) else None
    finally:
        server.terminate()
        server.wait(_PATIENCE)


def _answers(port: int) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    print("docker-registry did not start, so nothing is pushed", file=sys.stderr)
    return False
