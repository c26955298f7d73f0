"""A BuildKit daemon of our own, which buildx can use. Needs root, buildkitd and runc."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import measuring

BUILDER = "bench"
_PATIENCE = 60.0  # seconds for the daemon to start, and to end


class Daemon(NamedTuple):
    """Where it is, and its process. buildx knows it as the builder `BUILDER`."""

    address: str
    process: int


@contextmanager
def running(folder: Path, env: Mapping[str, str]) -> Iterator[Daemon | None]:
    """A daemon that keeps everything in `folder`, ended afterwards. None where it can't be started.

    `env` says where docker's command keeps its settings.
    """
    if not measuring.tool("buildkitd") or not measuring.tool("runc"):
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    address = f"unix://{folder}/socket"
    command = ["buildkitd", f"--addr={address}", f"--root={folder}/root", "--oci-worker-net=host"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*command, "--containerd-worker=false"], stdout=log, stderr=log)
    try:
        yield Daemon(address, daemon.pid) if _starts(daemon, folder, address, env) else None
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE)


def _starts(daemon: subprocess.Popen[bytes], folder: Path, address: str, env: Mapping[str, str]) -> bool:
    deadline = time.monotonic() + _PATIENCE
    while not (folder / "socket").exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            print(f"buildkitd did not start, so it isn't measured: see {folder}/log", file=sys.stderr)
            return False
        time.sleep(0.2)
    create = ["docker", "buildx", "create", "--name", BUILDER, "--driver", "remote", address]
    subprocess.run(create, env=measuring.environ(env), capture_output=True, check=True)
    return True
