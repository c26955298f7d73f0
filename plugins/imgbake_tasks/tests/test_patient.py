"""Waits for the network that end with the build, whoever keeps silent."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

import pytest

from imgbake.api import Interrupted
from imgbake_tasks.patient import Patience, accept, connect, secured


@pytest.fixture
def stopping() -> Patience:
    """Of a build that is stopped as soon as anybody waits."""

    def check() -> None:
        raise Interrupted

    return Patience(stall=60, check=check, connect=60)


def test_a_look_up_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, stopping: Patience
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", _hanging(answered))
    with pytest.raises(Interrupted):
        connect(("files.example.com", 21), stopping)
    answered.set()


def test_a_name_that_cannot_be_is_an_error_of_the_caller() -> None:
    with pytest.raises((OSError, UnicodeError)):
        connect(("a" * 300 + ".example", 21), Patience(stall=1, check=lambda: None))


def test_a_server_that_never_connects_does_not_hold_up_the_end(stopping: Patience) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(Interrupted):
        accept(listening, stopping)


def test_a_handshake_that_nobody_answers_does_not_hold_up_the_end(stopping: Patience) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sock = socket.create_connection(silent.getsockname())
        with pytest.raises(Interrupted):
            secured(sock, ssl.create_default_context(), "127.0.0.1", stopping)


def test_a_handshake_that_nobody_answers_ends_in_time() -> None:
    short = Patience(stall=60, check=lambda: None, connect=0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sock = socket.create_connection(silent.getsockname())
        with pytest.raises(TimeoutError, match="no answer"):
            secured(sock, ssl.create_default_context(), "127.0.0.1", short)


def _hanging(answered: threading.Event) -> Callable[..., list[object]]:
    def look_up(*_: object, **__: object) -> list[object]:
        answered.wait(60)
        return []

    return look_up
