from __future__ import annotations

import signal
import socket
import time

import pytest

from imgbake.api import BakeError, Interrupted
from imgbake.testing.project import Project
from imgbake_oci.registry.patience import Retries, Transient, Watch, patiently

QUICK = Retries(attempts=3, first=0.001)


def test_what_fails_is_tried_again_and_then_is_an_error() -> None:
    tries: list[int] = []

    def attempt() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise Transient(BakeError("down"))
        return len(tries)

    assert patiently(attempt, QUICK, Watch().check) == 3

    def never() -> None:
        tries.append(1)
        raise Transient(BakeError("still down"))

    tries.clear()
    with pytest.raises(BakeError, match="still down"):
        patiently(never, QUICK, Watch().check)
    assert len(tries) == 3


def test_progress_earns_more_tries() -> None:
    tries: list[int] = []

    def attempt() -> None:
        tries.append(1)
        raise Transient(BakeError("down"), progressed=len(tries) < 10)

    with pytest.raises(BakeError):
        patiently(attempt, QUICK, Watch().check)
    assert len(tries) == 11


def test_a_pause_ends_with_the_build() -> None:
    def attempt() -> None:
        raise Transient(BakeError("down"), after=60)

    started = time.monotonic()
    ends = started + 0.3

    def check() -> None:
        if time.monotonic() > ends:
            raise Interrupted

    with pytest.raises(Interrupted):
        patiently(attempt, Retries(), check)
    assert time.monotonic() - started < 15


def test_ctrl_c_ends_the_look_for_a_base_at_a_registry_that_keeps_silent(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        project.recipe(f'[images.app]\nbase = "{host}/base:1"\n')
        process = project.start("build", "--progress", "plain")
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "interrupted" in said
