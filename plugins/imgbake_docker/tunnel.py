"""A socket on this machine that leads to an engine behind ssh, as docker's own command line goes there.

Whoever connects gets an `ssh` of their own, which runs `docker system dial-stdio` there and has the
connection as its stdin and stdout. So to the SDK the engine is on this machine, and ssh is the user's,
with its settings.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from imgbake.api import BakeError

_SECONDS = 30  # to connect


class Tunnel:
    """An open tunnel."""

    def __init__(self, server: socket.socket, argv: Sequence[str], said: IO[bytes]) -> None:
        self.address = f"unix://{server.getsockname()}"
        self._server, self._argv, self._said = server, argv, said
        self._started: list[subprocess.Popen[bytes]] = []

    def serve(self) -> None:
        """Starts an ssh for each connection, until it is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    self._started.append(
                        subprocess.Popen(
                            self._argv,
                            stdin=connection.fileno(),
                            stdout=connection.fileno(),
                            stderr=self._said,
                            start_new_session=True,  # Ctrl-C is for us
                        )
                    )

    def close(self) -> None:
        """Ends it, with all connections."""
        self._server.shutdown(socket.SHUT_RDWR)
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait()

    def said(self) -> str:
        """The last line that an ssh has said, which is why it failed."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextlib.contextmanager
def opened(host: str) -> Iterator[Tunnel]:
    """A tunnel to `ssh://[USER@]HOST[:PORT][/PATH]`. Raises BakeError."""
    argv = _argv(host)
    with (
        tempfile.TemporaryDirectory(prefix="imgbake-ssh-") as folder,
        (Path(folder) / "said").open("w+b") as said,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.bind(f"{folder}/socket")
        server.listen()
        tunnel = Tunnel(server, argv, said)
        serving = threading.Thread(target=tunnel.serve, daemon=True, name="ssh")
        serving.start()
        try:
            yield tunnel
        finally:
            tunnel.close()
            serving.join()


def _argv(host: str) -> list[str]:
    import shutil

    ssh = shutil.which("ssh")
    if ssh is None:
        raise BakeError(f"the docker engine at {host} needs `ssh`, which is not installed")
    try:
        url = urlsplit(host)
        name, port = url.hostname, url.port
    except ValueError:
        name, port = None, None
    if not name or url.password:
        raise BakeError(
            f"'{host}' is no place of an engine", hint="write ssh://USER@HOST or ssh://USER@HOST:PORT"
        )
    argv = [ssh, "-T", "-o", f"ConnectTimeout={_SECONDS}"]
    argv += ["-l", url.username] if url.username else []
    argv += ["-p", str(port)] if port else []
    there = f"--host=unix://{url.path} " if url.path.strip("/") else ""
    return [*argv, "--", name, f"docker {there}system dial-stdio"]
