"""A session with an FTP server: RFC 959, TLS by RFC 4217, resuming and sizes by RFC 3659."""

from __future__ import annotations

import contextlib
import ftplib
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from imgbake.api import RunContext, StepError
from imgbake_tasks import address, failures, place, trust
from imgbake_tasks.ftp import FtpOptions
from imgbake_tasks.patient import Patience, Patient, accept, connect, secured
from imgbake_tasks.retry import Transient


class Session(ftplib.FTP_TLS):
    """ftplib's client, made patient; and its data connections continue the TLS session, as servers want."""

    def __init__(self, context: ssl.SSLContext, patience: Patience) -> None:
        super().__init__(context=context, timeout=patience.connect)
        self.patience = patience

    def dial(self, host: str, port: int, *, implicit: bool) -> None:
        """Connects and hears the welcome."""
        self.host, self.port = host, port
        sock = connect((host, port), self.patience)
        self.af = sock.family
        self._attach(self._secured(sock) if implicit else sock)
        self.welcome = self.getresp()

    def secure(self) -> None:
        """Goes on in TLS (RFC 4217, 4)."""
        self.voidcmd("AUTH TLS")
        assert self.sock is not None
        self._attach(self._secured(self.sock))

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Starts a transfer. Returns its connection and, if the server says it, the size."""
        if self.passiveserver:
            conn = connect(self.makepasv(), self.patience)
            try:
                size = self._started(cmd, rest)
            except BaseException:
                conn.close()
                raise
        else:
            with self.makeport() as listening:
                size = self._started(cmd, rest)
                conn = accept(listening, self.patience)
        if isinstance(self.sock, ssl.SSLSocket):
            conn = self._secured(conn, self.sock.session)
        return conn, size

    def size_of(self, name: str) -> int:
        """The size of a file (RFC 3659, 4); -1 when the server doesn't say it."""
        try:
            return self.size(name) or 0
        except ftplib.error_perm:  # an old server, or no such file, which the transfer will say
            return -1

    def _started(self, cmd: str, rest: int | str | None) -> int | None:
        """Asks for a transfer. Returns the size if the server says it (in its reply 150)."""
        if rest is not None:
            self.sendcmd(f"REST {rest}")
        reply = self.sendcmd(cmd)
        if reply.startswith("2"):  # some servers confirm the command before they begin, as RFC 959 has it not
            reply = self.getresp()
        if not reply.startswith("1"):
            raise ftplib.error_reply(reply)
        return ftplib.parse150(reply) if reply.startswith("150") else None

    def _secured(self, sock: socket.socket, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        return secured(sock, self.context, self.host, self.patience, session)

    def _attach(self, sock: socket.socket) -> None:
        self.sock = sock
        reader = Patient(sock, self.patience).makefile()
        self.file = io.TextIOWrapper(reader, encoding=self.encoding, errors="surrogateescape")


@contextlib.contextmanager
def opened(options: FtpOptions, ctx: RunContext) -> Iterator[Session]:
    """A session, logged in, for binary transfers. What goes wrong in it is StepError or Transient."""
    url = address.split(ctx.reveal(options.address.plain), options.shown)
    patience = Patience(stall=options.stall_timeout, check=ctx.check)
    ca = place.inside(ctx.root, options.ca) if options.ca else None
    session = Session(trust.context(ca), patience)
    with _failures(options.shown):
        try:
            port = url.port or (990 if options.implicit else ftplib.FTP_PORT)
            session.dial(url.hostname or "", port, implicit=options.implicit)
            if url.scheme == "ftps" and not options.implicit:
                session.secure()
            _login(session, options, ctx)
            if url.scheme == "ftps":
                session.prot_p()
            session.set_pasv(options.passive)
            session.voidcmd("TYPE I")
            yield session
            with contextlib.suppress(*ftplib.all_errors):
                session.quit()
        finally:
            session.close()


def folder(options: FtpOptions, ctx: RunContext) -> str:
    """The folder that the url names: below the login's, or absolute after a second slash.

    So does RFC 1738, 3.2.2, and so does curl.
    """
    path = unquote(urlsplit(ctx.reveal(options.address.plain)).path[1:])
    return path.rstrip("/") or path


def finish(conn: socket.socket) -> None:
    """Ends a data connection so that the other side knows that it was whole."""
    if isinstance(conn, ssl.SSLSocket):
        conn.settimeout(5)
        with contextlib.suppress(OSError):  # many servers just close; sizes are compared in any case
            conn.unwrap()
    conn.close()


def _login(session: Session, options: FtpOptions, ctx: RunContext) -> None:
    user = ctx.reveal(options.address.user or "anonymous")
    password = ctx.reveal(options.password or options.address.password or "")
    if any(character in user + password for character in "\r\n\0"):
        hint = "a secret read from a file often ends with a line break that doesn't belong to it"
        raise StepError(f"{options.shown}: the user or password holds a line break", hint=hint)
    try:
        session.login(user, password or "anonymous@", secure=False)
    except ftplib.error_perm as error:
        hint = 'check the user in `url`, and `password = "{{ name }}"`'
        if not isinstance(session.sock, ssl.SSLSocket):
            hint += "; or the server wants TLS: ftps://"
        who, said = options.address.user or "anonymous", _reply(error)
        if password:
            said = said.replace(password, "***")
        message = f"{options.shown}: the server doesn't let '{who}' in: {said}"
        raise StepError(message, hint=hint) from None


@contextlib.contextmanager
def _failures(what: str) -> Iterator[None]:
    """Turns ftplib's errors into Transient (replies 4xx, broken connections) and StepError."""
    try:
        with failures.network(what):
            yield
    except ftplib.error_temp as error:
        raise Transient(f"{what}: the server says {_reply(error)}") from None
    except ftplib.error_perm as error:
        raise StepError(f"{what}: the server says {_reply(error)}", hint=_hint(str(error))) from None
    except ftplib.Error as error:
        raise StepError(f"{what}: the server does not speak FTP: {_reply(error)}") from None
    except EOFError:
        raise Transient(f"{what}: the server ended the connection") from None


def _reply(error: Any) -> str:
    lines = str(error).splitlines()
    return f"'{lines[0][:200]}'" if lines else "nothing"


def _hint(reply: str) -> str:
    if reply.startswith("550"):
        return "check the path, and whether the user may go there"
    if reply.startswith(("522", "530", "534")):
        return "the server may want TLS: ftps://"
    return ""
