"""The server of sandboxes as imgbake has it: one for each identity, started when it is first wanted."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from imgbake_sandbox import records, starting
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.report import Failed

_MOST = 1 << 16  # bytes of a message


class Server:
    """Starts sandboxes, from any thread. It ends with this process, or when nobody has it any more."""

    def __init__(self, identity: Identity, python: str = "") -> None:
        """`python` is the interpreter to use, ours by default. Raises OSError when it can't be started."""
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = str(theirs.fileno()), str(os.getpid())
            self._process = subprocess.Popen(
                starting.arguments("serve", *words, python=python),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                start_new_session=True,
            )
        self._ours.send(records.encode(identity.records()))
        weakref.finalize(self, _end, self._ours, self._process)
        self._failed: Failed | None = None
        self._is_ready = False

    def failed(self) -> Failed | None:
        """Why it can make no sandboxes, once that is known; None when it can."""
        with self._lock:
            return self._awaited()

    def start(
        self, argv: Sequence[str], env: Mapping[bytes, bytes], cwd: Path, *, stdout: int, stderr: int
    ) -> int:
        """Starts the sandbox of a spec, whose path is the only word, see `imgbake.api.Starter`.

        `cwd` is of no account. Raises OSError.
        """
        variables = ((os.fsdecode(name), os.fsdecode(value)) for name, value in env.items())
        asked = records.encode([("word", *argv), *(("env", *pair) for pair in variables)])
        with self._lock, open(os.memfd_create("request"), "w+b") as request:
            self._awaited()
            request.write(asked)
            request.seek(0)
            socket.send_fds(self._ours, [b"?"], [request.fileno(), stdout, stderr])
            answer = records.Records(self._ours.recv(_MOST))
        if number := answer.one("refused"):
            raise OSError(int(number), os.strerror(int(number)))
        if not (process := answer.one("started")):
            raise ConnectionResetError("the server of sandboxes has ended")
        return int(process)

    def run(self, path: str) -> int:
        """Runs the sandbox of a spec that prints nothing of interest, and returns its exit code.

        Raises OSError.
        """
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            process = self.start([path], os.environb, Path("/"), stdout=nowhere, stderr=nowhere)
        finally:
            os.close(nowhere)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def has_ended(self) -> bool:
        """Was it killed?"""
        return self._process.poll() is not None

    def _awaited(self) -> Failed | None:
        if not self._is_ready:
            answer = records.Records(self._ours.recv(_MOST))
            self._is_ready = True
            for stage, number, text in answer.all("failed"):
                self._failed = Failed(stage, int(number), text)
            if not self._failed and not answer.all("ready"):
                self._failed = Failed("unshare", 0, "the server of sandboxes died")
        return self._failed


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.wait()


def server(identity: Identity) -> Server:
    """The server of this process for an identity. Raises OSError when it can't be started."""
    found = _server(identity, os.getpid())
    if found.has_ended():
        _server.cache_clear()
        found = _server(identity, os.getpid())
    return found


@functools.cache
def _server(identity: Identity, process: int) -> Server:
    """`process` is that of the caller: one that was forked off us has no part in ours."""
    return Server(identity)
