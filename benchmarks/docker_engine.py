"""A docker engine of our own, so that its caches can be dropped. Needs root and Debian's docker.io."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import measuring

_PATIENCE = 60.0  # seconds for the engine to start, and to end


class Engine(NamedTuple):
    """How to reach it, and its processes."""

    env: dict[str, str]
    processes: tuple[int, ...]


@contextmanager
def running(folder: Path) -> Iterator[Engine | None]:
    """An engine that keeps everything in `folder`, ended afterwards. None where it can't be started."""
    if not measuring.tool("docker") or not measuring.tool("dockerd"):
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    env = {"DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_CONFIG": str(folder / "config")}
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(_command(folder, env["DOCKER_HOST"]), stdout=log, stderr=log)
    try:
        yield Engine(env, _processes(daemon)) if _starts(daemon, env, folder / "log") else None
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE)
        for left in (*(folder / "run" / "netns").glob("*"), folder / "data"):  # dockerd leaves them mounted
            subprocess.run(["umount", "-q", left], check=False)


def _command(folder: Path, host: str) -> list[str]:
    return [
        "dockerd", f"--host={host}", f"--data-root={folder}/data", f"--exec-root={folder}/run",
        f"--pidfile={folder}/pid", "--iptables=false", "--bridge=none",
    ]  # fmt: skip


def _starts(daemon: subprocess.Popen[bytes], env: dict[str, str], log: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE
    question = ["docker", "version", "--format", "{{.Server.Version}}"]
    while subprocess.run(question, env=measuring.environ(env), capture_output=True).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            print(f"dockerd did not start, so docker isn't compared with: see {log}", file=sys.stderr)
            return False
        time.sleep(0.2)
    return True


def _processes(daemon: subprocess.Popen[bytes]) -> tuple[int, ...]:
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
    return (daemon.pid, *map(int, children.split()))
