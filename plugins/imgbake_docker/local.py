"""An engine at a socket of this machine, asked in a few lines of HTTP.

The docker SDK takes longer to load than a small image takes to build. So what every build asks of an
engine goes this way. The SDK is for the rest, and for engines that are elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Self
from urllib.parse import quote, urlencode

_SECONDS = 60  # to answer
_REFUSED = 400  # statuses from here on


class Silent(Exception):
    """Nobody answers; its cause says why."""


class Refused(Exception):
    """Why the engine doesn't do what it is asked for."""


class Local:
    """The engine at a socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def knock(self) -> None:
        """Raises Silent when nobody listens."""
        with Exchange(self._path):
            pass

    def image(self, name: str) -> dict[str, Any] | None:
        """What it says of an image, None when it has none of this name or id."""
        with Exchange(self._path) as exchange:
            if exchange.ask("GET", f"/images/{quote(name)}/json") == 404:
                return None
            found: dict[str, Any] = json.loads(exchange.whole())
            return found

    def version(self) -> dict[str, Any]:
        """What it says of itself."""
        with Exchange(self._path) as exchange:
            exchange.ask("GET", "/version")
            found: dict[str, Any] = json.loads(exchange.whole())
            return found

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Gives an image a name."""
        query = urlencode({"repo": repository, "tag": tag})
        with Exchange(self._path) as exchange:
            exchange.ask("POST", f"/images/{quote(image)}/tag?{query}")
            exchange.whole()

    def working(self) -> Exchange:
        """For a question that the engine may work on for long."""
        return Exchange(self._path, None)


class Exchange:
    """One question and its answer. Raises Silent when nobody answers, and Refused when the answer is no."""

    def __init__(self, path: str, seconds: float | None = _SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._status = 0
        self._is_chunked = False
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Silent from error
        self._answer = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._socket.close()

    def hang_up(self) -> None:
        """Ends it, also while another thread waits for the answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def ask(self, method: str, what: str, body: Iterable[bytes] | None = None) -> int:
        """Sends a question, with a tar as its body, and returns the status of the answer."""
        head = f"{method} {what} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
        if body is None:
            self._send(f"{head}Content-Length: 0\r\n\r\n".encode())
        else:
            head += "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"
            pieces = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece)
            all(map(self._send, itertools.chain((head.encode(),), pieces, (b"0\r\n\r\n",))))
        with _heard():
            self._read_head()
        return self._status

    def whole(self) -> bytes:
        """The answer, once all of it is there."""
        return b"".join(self._pieces())

    def lines(self) -> Iterator[bytes]:
        """The answer line by line, as it comes."""
        rest = b""
        for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        yield rest

    def _send(self, data: bytes) -> bool:
        """Sends, unless the engine no longer reads, because it has answered already."""
        with _heard():
            try:
                self._socket.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def _read_head(self) -> None:
        status = self._line()
        if not status.startswith(b"HTTP/1."):
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        self._status = int(status.split()[1])
        while line := self._line().strip().lower():
            self._is_chunked |= line == b"transfer-encoding: chunked"

    def _pieces(self) -> Iterator[bytes]:
        if self._status < _REFUSED:
            yield from self._received()
            return
        said = b"".join(self._received())
        with contextlib.suppress(ValueError, KeyError, TypeError):
            raise Refused(json.loads(said)["message"])
        raise Refused(f"status {self._status}")

    def _received(self) -> Iterator[bytes]:
        with _heard():
            if not self._is_chunked:
                yield self._answer.read()
                return
            while size := int(self._line(), 16):
                yield self._answer.read(size)
                self._line()

    def _line(self) -> bytes:
        line = self._answer.readline()
        if not line:
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return line


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Silent from error
