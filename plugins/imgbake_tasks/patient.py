"""Sockets that wait in small steps: they notice that the build stops, and that nothing has moved for long."""

from __future__ import annotations

import functools
import io
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import http.client
    import ssl

    from _typeshed import ReadableBuffer, WriteableBuffer

_TICK = 0.25  # seconds between looks at whether to stop


class Patience(msgspec.Struct, frozen=True):
    """How long to wait for the other side, in seconds, and what is asked while waiting."""

    stall: float  # without a byte moving
    check: Callable[[], None]  # raises when the step must stop
    connect: float = 20.0

    @property
    def endless(self) -> Patience:
        """The same for one who may keep silent."""
        return msgspec.structs.replace(self, stall=math.inf)


def connect(address: tuple[str, int], patience: Patience) -> socket.socket:
    """A connected socket, by the first of the host's addresses that answers.

    Its timeout is the one for connecting, for a handshake to follow. Raises OSError.
    """
    failure: OSError = OSError("the host has no address")
    for family, kind, protocol, _, found in _looked_up(address, patience):
        sock = socket.socket(family, kind, protocol)
        try:
            _connect(sock, found, patience)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            sock.settimeout(patience.connect)
            return sock
    raise failure


def secured(
    sock: socket.socket,
    context: ssl.SSLContext,
    host: str,
    patience: Patience,
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """The socket in TLS, after the handshake; closed when that fails. Raises OSError."""
    wrapped = context.wrap_socket(sock, server_hostname=host, session=session, do_handshake_on_connect=False)
    try:
        wrapped.settimeout(_TICK)
        _shake_hands(wrapped, patience)
    except BaseException:
        wrapped.close()
        raise
    wrapped.settimeout(patience.connect)
    return wrapped


def connect_patiently(connection: http.client.HTTPConnection, patience: Patience) -> None:
    """Makes http.client call `connect`, by its own seam, which has no name in its stubs."""
    connection._create_connection = lambda address, *_: connect(address, patience)  # type: ignore[attr-defined]


def accept(listening: socket.socket, patience: Patience) -> socket.socket:
    """The connection that the other side makes to a listening socket. Raises OSError."""
    end = time.monotonic() + patience.connect
    while not select.select([listening], [], [], _TICK)[0]:
        patience.check()
        if time.monotonic() > end:
            raise TimeoutError(f"nobody connected within {patience.connect:.0f} s")
    sock = listening.accept()[0]
    sock.settimeout(patience.connect)
    return sock


def _looked_up(address: tuple[str, int], patience: Patience) -> Sequence[Any]:
    """What `getaddrinfo` finds. Nothing can stop it, so it has a thread of its own, which may be left."""
    found: Future[Sequence[Any]] = Future()

    def look_up() -> None:
        try:
            found.set_result(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    while not wait([found], timeout=_TICK).done:
        patience.check()
    return found.result()


def _connect(sock: socket.socket, address: object, patience: Patience) -> None:
    sock.setblocking(False)
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    end = time.monotonic() + patience.connect
    sock.connect_ex(address)  # type: ignore[arg-type]  # as getaddrinfo gives it
    while not poller.poll(_TICK * 1000):
        patience.check()
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {patience.connect:.0f} s")
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _shake_hands(sock: ssl.SSLSocket, patience: Patience) -> None:
    end = time.monotonic() + patience.connect
    while True:
        patience.check()
        try:
            return sock.do_handshake()  # goes on where it stopped
        except TimeoutError:
            if time.monotonic() > end:
                raise TimeoutError(f"no answer within {patience.connect:.0f} s") from None


class Patient:
    """A connected socket, plain or TLS, whose reads and writes are patient.

    It has what http.client and ftplib use of a socket.
    """

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        sock.settimeout(_TICK)
        self.sock = sock
        self.patience = patience

    def recv_into(self, buffer: WriteableBuffer) -> int:
        """Reads what there is, at least a byte; 0 at the end. Raises TimeoutError after a stall."""
        return self._moved(functools.partial(self.sock.recv_into, buffer))

    def sendall(self, data: ReadableBuffer) -> None:
        """Writes it all. Raises TimeoutError after a stall."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._moved(functools.partial(self.sock.send, rest)) :]

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """A buffered reader of the socket."""
        assert mode == "rb", mode
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Does nothing: http.client calls it while the body is still to be read; the maker closes `sock`."""

    def _moved(self, move: Callable[[], int]) -> int:
        end = time.monotonic() + self.patience.stall
        while True:
            self.patience.check()
            try:
                return move()
            except TimeoutError:
                if time.monotonic() > end:
                    raise TimeoutError(f"nothing moved for {self.patience.stall:.0f} s") from None


class _Reader(io.RawIOBase):
    """The reading end of a patient socket, as a raw stream."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._patient.recv_into(buffer)
