"""Debian's docker-registry, as a program."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from imgbake_oci.tests.baked import program


@contextlib.contextmanager
def docker_registry(folder: Path, *, deletes: bool = False) -> Iterator[str]:
    """Runs it on a free port, its files in a folder, and says where."""
    command = program("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": deletes}}
    (folder / "config.yml").write_text(
        json.dumps({"version": "0.1", "storage": storage, "http": {"addr": host}})
    )
    quiet = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    running = subprocess.Popen(
        [command, "serve", folder / "config.yml"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet,
    )  # fmt: skip
    try:
        last = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(tuple(host.split(":")), 1).close()  # type: ignore[arg-type]
                break
            except OSError:
                assert time.monotonic() < last, "docker-registry did not start"
                time.sleep(0.05)
        yield host
    finally:
        running.kill()
        running.wait()
