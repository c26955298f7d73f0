"""Waits for commands, and forks for each."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import resource
import selectors
import signal
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imgbake.errors import BakeError
from imgbake.files import witness
from imgbake.serving import ENDED, becoming, place
from imgbake.serving.circumstances import circumstances

_WAITING = 64  # clients, at the most


class Server:
    """To be made when everything is loaded: what is imported later, each fork imports again."""

    def __init__(self, carry_out: Callable[[Sequence[str]], None], say: Callable[[str], None]) -> None:
        """`carry_out` does what a command line asks for, and ends the process. `say` tells the user."""
        self._carry_out = carry_out
        self._say = say
        self._circumstances = circumstances()
        self._files, self._signatures = _loaded()
        self._selector = selectors.DefaultSelector()
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4  # each has two files open
        self._running: dict[int, socket.socket] = {}  # clients, by the pidfds of their forks

    def serve(self) -> bool:
        """Serves until SIGINT, SIGTERM or SIGHUP, and waits for the commands that still run then.

        Returns whether the code that is loaded is no longer what is on the disk. Raises BakeError.
        """
        gc.collect()
        gc.freeze()  # what forks share stays shared until they change it
        for each in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) is not signal.SIG_IGN:  # nohup(1)
                signal.signal(each, signal.default_int_handler)
        try:
            with _alone(), _listening() as listener:
                self._selector.register(listener, selectors.EVENT_READ)
                self._say(f"serving at {place.address()}")
                return self._accept(listener)
        except KeyboardInterrupt:
            self._finish()
        return False

    def _accept(self, listener: socket.socket) -> bool:
        """Forks for one client after the other, until our code is out of date and nothing runs."""
        while True:
            ready = [key.fd for key, _ in self._selector.select()]
            for pidfd in self._running.keys() & set(ready):
                self._end(pidfd)
            if listener.fileno() in ready:
                client, _ = listener.accept()
                if witness.first_moved("/", self._files, self._signatures) is None:
                    self._fork(client)
                else:
                    client.close()
                    if not self._running:
                        return True

    def _fork(self, client: socket.socket) -> None:
        if len(self._running) >= self._most:
            client.close()
            return
        try:
            pid = os.fork()
        except OSError:  # there are too many processes, say
            client.close()
            return
        if not pid:
            try:
                self._become(client)
            finally:
                os._exit(1)
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = client
        self._selector.register(pidfd, selectors.EVENT_READ)

    def _become(self, client: socket.socket) -> None:
        """Becomes the command that a client hands over, unless it can't be, or the client is none."""
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
            request = becoming.receive(client)
            what = f"{request.cwd}: {' '.join(request.words[:1])}"
            if others := request.differing(self._circumstances):
                self._say(f"{what}: not served, for it has other {', '.join(others)}")
                return
            self._say(what)
            becoming.become(client, request)
            self._carry_out(request.words)

    def _end(self, pidfd: int) -> None:
        """Tells a client how its fork ended."""
        self._selector.unregister(pidfd)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        code = 1 if ended is None else ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        with self._running.pop(pidfd) as client, contextlib.suppress(OSError):
            client.sendall(struct.pack(ENDED, b"E", code))

    def _finish(self) -> None:
        if self._running:
            self._say(f"waiting for {len(self._running)} to end; interrupt again to leave them")
        for pidfd in list(self._running):
            self._end(pidfd)


def _loaded() -> tuple[list[str], array[int]]:
    """The files of all code that is loaded, and how they look."""
    modules = list(sys.modules.values())
    files = sorted({str(file) for module in modules if (file := getattr(module, "__file__", None))})
    return files, witness.pack(map(witness.signature, files))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Holds the place of the server. Raises BakeError when it is taken."""
    folder = Path(place.folder())
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    if not place.is_ours():
        raise BakeError(f"{folder} is not a folder of yours alone", hint=f"remove it, or chmod 700 {folder}")
    with Path(f"{place.address()}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BakeError("another `imgbake serve` of yours is running", hint="one is enough") from None
        yield


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    path = Path(place.address())
    path.unlink(missing_ok=True)  # of one that was killed
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(_WAITING)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)
