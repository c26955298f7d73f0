from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake.engine import process
from imgbake.engine.process import Ended, Stop


@pytest.fixture
def stop() -> Iterator[Stop]:
    stop = Stop()
    yield stop
    stop.close()


def _run(
    script: str, stop: Stop, tmp_path: Path, *, deadline: float | None = None, capture: bool = False,
    grace: float = process.GRACE,
) -> tuple[Ended, list[str]]:  # fmt: skip
    lines: list[str] = []
    ended = process.run(
        ["/bin/sh", "-c", script], env=dict(os.environb), cwd=tmp_path, on_line=lines.append, stop=stop,
        deadline=deadline, capture=capture, grace=grace,
    )  # fmt: skip
    return ended, lines


def test_output_comes_line_by_line_with_stderr_and_without_final_newline(stop: Stop, tmp_path: Path) -> None:
    ended, lines = _run("echo one; echo two >&2; printf three", stop, tmp_path)
    assert (ended.code, ended.by, lines) == (0, "", ["one", "two", "three"])


def test_captured_output_is_kept_apart_from_stderr(stop: Stop, tmp_path: Path) -> None:
    ended, lines = _run("echo data; echo log >&2; exit 3", stop, tmp_path, capture=True)
    assert (ended.code, ended.stdout, lines) == (3, b"data\n", ["log"])


def test_stdin_is_closed(stop: Stop, tmp_path: Path) -> None:
    assert _run("cat; echo end", stop, tmp_path)[1] == ["end"]


def test_much_output_passes_without_a_loss(stop: Stop, tmp_path: Path) -> None:
    ended, lines = _run("seq 1 200000", stop, tmp_path)
    assert (len(lines), lines[-1], ended.code) == (200_000, "200000", 0)


def test_a_child_in_the_background_does_not_hold_us_up(stop: Stop, tmp_path: Path) -> None:
    started = time.monotonic()
    _, lines = _run("sleep 30 & echo started; echo $! > pid", stop, tmp_path)
    assert lines == ["started"] and time.monotonic() - started < 10
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_child_in_the_background_that_writes_faster_than_we_read_does_not_hold_us_up(
    stop: Stop, tmp_path: Path
) -> None:
    script = "timeout 20 yes $(printf %01000d 0) & echo $! >pid; sleep 0.1"
    process.run(
        ["/bin/sh", "-c", script], env=dict(os.environb), cwd=tmp_path, stop=stop,
        on_line=lambda line: time.sleep(0.001),
    )  # fmt: skip
    child = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{child}").exists()  # and writes still
    os.kill(child, 15)


def test_a_deadline_ends_the_whole_group(stop: Stop, tmp_path: Path) -> None:
    ended, _ = _run("sleep 60 & echo $! > pid; wait", stop, tmp_path, deadline=time.monotonic() + 0.3)
    assert ended.by == "timeout"
    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_the_stop_signal_ends_what_runs(stop: Stop, tmp_path: Path) -> None:
    threading.Timer(0.3, stop.set).start()
    ended, _ = _run("sleep 60", stop, tmp_path)
    assert ended.by == "stop"


def test_a_command_that_ignores_the_polite_signal_is_killed(stop: Stop, tmp_path: Path) -> None:
    script, soon = "trap '' TERM; while :; do sleep 0.05; done", time.monotonic() + 0.2
    ended, _ = _run(script, stop, tmp_path, deadline=soon, grace=0.2)
    assert (ended.by, ended.code) == ("timeout", -9)


def test_what_a_dead_build_left_is_found_by_its_marker(stop: Stop, tmp_path: Path) -> None:
    pid = os.spawnve(os.P_NOWAIT, "/bin/sleep", ["sleep", "60"], {process.MARKER: "dead-build"})
    time.sleep(0.1)
    assert process.end_orphans("another-build") == 0
    assert process.end_orphans("dead-build") == 1
    assert os.waitpid(pid, 0)[1] == 9


def _is_gone(pid: int) -> bool:
    last = time.monotonic() + 5
    while time.monotonic() < last:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return True
        time.sleep(0.02)
    return False
