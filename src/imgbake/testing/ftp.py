"""An FTP server for tests, by pyftpdlib: a folder, one user, and TLS if wanted."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class FtpServer:
    """A server of a folder on a free loopback port, for the time of a `with` block.

    `tls` is "" for none, "explicit" (and wanted), or "implicit"; `ca` names its certificate then.
    `perm` are pyftpdlib's letters for what the user may do. Raises ImportError without pyftpdlib, or
    for `tls` without pyOpenSSL.
    """

    def __init__(
        self, folder: Path, *, user: str = "", password: str = "", tls: str = "", perm: str = "elradfmwMT"
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ftp-")
        self.ca: Path | None = None
        self.commands: list[str] = []  # that clients sent, without passwords
        self.replaces = True  # does a rename replace a file that is there?
        self._cuts: list[int] = []
        handler = self._handler(folder, user, password, tls, perm)
        with _quiet():
            from pyftpdlib.ioloop import IOLoop
            from pyftpdlib.servers import FTPServer

            self._loop = IOLoop()
            self._server = FTPServer(("127.0.0.1", 0), handler, ioloop=self._loop)
        scheme = "ftps" if tls else "ftp"
        self.host = f"127.0.0.1:{self._server.address[1]}"
        self.url = f"{scheme}://{user + '@' if user else ''}{self.host}"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._server.close_all()
        self._temporary.cleanup()

    def cut(self, after: int) -> None:
        """Lets the next transfer to a client end, with its session, after so many bytes."""
        self._cuts.append(after)

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._loop.loop(timeout=0.02, blocking=False)

    def _handler(self, folder: Path, user: str, password: str, tls: str, perm: str) -> type[Any]:
        """A class for pyftpdlib, which keeps a server's settings in one."""
        with _quiet():
            from pyftpdlib.authorizers import DummyAuthorizer

            if tls:
                from pyftpdlib.handlers import TLS_FTPHandler as Base
            else:
                from pyftpdlib.handlers import FTPHandler as Base
        authorizer = DummyAuthorizer()
        if user:
            authorizer.add_user(user, password, str(folder), perm=perm)
        else:
            authorizer.add_anonymous(str(folder), perm="elr")
        settings: dict[str, Any] = {
            "authorizer": authorizer,
            "dtp_handler": _cutting(Base.dtp_handler, self._cuts),
            "pre_process_command": _noting(Base, self.commands),
            "use_sendfile": False,
            "ftp_RNTO": _renaming(Base, self),
            "auth_failed_timeout": 0.05,
        }
        if tls:
            from imgbake.testing.registry import certificate

            self.ca, key = certificate.make(Path(self._temporary.name))
            settings |= {"certfile": str(self.ca), "keyfile": str(key), "ssl_context": None}
            settings |= {"tls_control_required": True, "tls_data_required": True}
        if tls == "implicit":
            settings["handle"] = _secured(Base)
        return type("Handler", (Base,), settings)


def _cutting(base: type[Any], cuts: list[int]) -> type[Any]:
    """A data connection that ends when it has sent as many bytes as the next cut says."""

    def send(self: Any, data: bytes) -> int:
        if not cuts:
            return int(base.send(self, data))
        sent = int(base.send(self, data[: cuts[0] - self.tot_bytes_sent]))
        if self.tot_bytes_sent + sent >= cuts[0]:
            cuts.pop(0)
            channel = self.cmd_channel
            self.close()
            channel.close()
        return sent

    return type("DataConnection", (base,), {"send": send})


def _renaming(base: type[Any], server: FtpServer) -> Any:
    def ftp_RNTO(self: Any, path: str) -> Any:  # noqa: N802  # the name that pyftpdlib wants
        if not server.replaces and Path(path).exists():
            self._rnfr = None
            return self.respond("550 File exists.")
        return base.ftp_RNTO(self, path)

    return ftp_RNTO


def _noting(base: type[Any], commands: list[str]) -> Any:
    def pre_process_command(self: Any, line: str, cmd: str, arg: str) -> None:
        commands.append(cmd if cmd == "PASS" else f"{cmd} {arg}".strip())
        base.pre_process_command(self, line, cmd, arg)

    return pre_process_command


def _secured(base: type[Any]) -> Any:
    """A session in TLS from its first byte."""

    def handle(self: Any) -> None:
        self.secure_connection(self.ssl_context)
        base.handle(self)

    return handle


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pyftpdlib stands on modules that Python warns of, and logs to stderr unless told not to."""
    logger = logging.getLogger("pyftpdlib")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
