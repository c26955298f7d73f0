"""A machine for provisioners: sshd in an overlay of this system, in a mount namespace of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_START = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs "$1/root/tmp"
chmod 1777 "$1/root/tmp"
mount -t tmpfs tmpfs "$1/root/run"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root/run/sshd"
cp "$2/host" "$2/key.pub" "$2/sshd_config" "$1/root/run/sshd/"
exec chroot "$1/root" /usr/sbin/sshd -D -e -f /run/sshd/sshd_config
"""
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey /run/sshd/host
AuthorizedKeysFile /run/sshd/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
HostKeyAlgorithms +ssh-rsa
PubkeyAcceptedAlgorithms +ssh-rsa
Subsystem sftp internal-sftp
"""


class Machine:
    """Where it listens, the key that opens it, and what is on it."""

    def __init__(self, port: int, key: Path) -> None:
        self.port, self.key = port, key

    def options(self) -> str:
        """How Packer reaches it, as TOML."""
        return (
            f'ssh_host = "127.0.0.1"\nssh_port = {self.port}\nssh_private_key_file = "{self.key}"\n'
            'ssh_timeout = "30s"\n'
        )

    def run(self, command: str) -> str:
        """What a command prints there."""
        argv = ["ssh", "-p", str(self.port), "-i", str(self.key), "-o", "StrictHostKeyChecking=no"]
        argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1", command]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Machine | None]:
    """The machine, for the time of a `with` block; None when this system doesn't allow it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "key"):
        argv = [
            "ssh-keygen",
            "-q",
            "-t",
            "rsa",
            "-b",
            "2048",
            "-m",
            "PEM",
            "-N",
            "",
            "-f",
            str(folder / name),
        ]
        subprocess.run(argv, check=True)
    (folder / "sshd_config").write_text(_CONFIG.format(port=port))
    (folder / "mounted").mkdir()
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _START, "sh"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*words, str(folder / "mounted"), str(folder)], stdout=log, stderr=log, start_new_session=True
    )
    log.close()
    try:
        yield Machine(port, folder / "key") if _listens(port, process) else None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(100):
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False
