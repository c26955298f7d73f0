"""However a sandbox ends, nothing of it is left: no process, no mount, no group of limits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake_sandbox.tests.sandboxes import Sandbox


@pytest.fixture
def mark() -> str:
    """A number of seconds to sleep that nobody else sleeps."""
    return f"9{os.getpid()}.{time.monotonic_ns() % 1_000_000}"


@pytest.fixture(autouse=True)
def no_mounts_are_left() -> Iterator[None]:
    """Checks the host's mounts after each test."""
    before = Path("/proc/self/mountinfo").read_text().count("imgbake-sandbox-")
    yield
    assert Path("/proc/self/mountinfo").read_text().count("imgbake-sandbox-") == before


def sleepers(mark: str) -> list[int]:
    """Processes, zombies left out, that have the mark in their command."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in words:
                found.append(int(folder.name))
    return found


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def test_processes_in_the_background_end_with_the_command(sandbox: Sandbox, mark: str) -> None:
    script = f"(trap '' TERM HUP; setsid sleep {mark}) & sleep {mark} & setsid sleep {mark} & sleep 0.2"
    outcome = sandbox.run(script, f"ps | grep -c '[s]leep {mark}'; true")
    assert outcome.out == "0\n"
    assert not sleepers(mark)


def test_a_command_is_told_to_end_and_its_code_is_passed_on(sandbox: Sandbox, mark: str) -> None:
    script = f"trap 'echo told; exit 9' TERM; sleep {mark} & wait"
    process = sandbox.start(sandbox.spec(script, "echo never"))
    assert until(lambda: sleepers(mark))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (9, "told\n")
    assert not sleepers(mark)


def test_a_signal_to_the_group_arrives_once(sandbox: Sandbox, mark: str) -> None:
    script = f"trap 'echo told' TERM; sleep {mark} & wait; sleep 0.3; echo end"
    process = sandbox.start(sandbox.spec(script), start_new_session=True)
    assert until(lambda: sleepers(mark))
    os.killpg(process.pid, signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "told\nend\n"


def test_no_further_command_runs_after_the_signal(sandbox: Sandbox, mark: str) -> None:
    process = sandbox.start(sandbox.spec(f"sleep {mark}; true", "echo never"))
    assert until(lambda: sleepers(mark))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + signal.SIGINT, "")


def test_a_signal_that_comes_early_is_not_lost(one_sandbox: Sandbox) -> None:
    for delay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08):
        process = one_sandbox.start(one_sandbox.spec("sleep 30"))
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        process.communicate(timeout=20)
        assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
        assert time.monotonic() - started < 10


def test_killing_what_was_started_ends_all(sandbox: Sandbox, mark: str) -> None:
    process = sandbox.start(
        sandbox.spec(f"trap '' TERM INT HUP; setsid sleep {mark} & sleep {mark}; sleep {mark}")
    )
    assert until(lambda: len(sleepers(mark)) == 2)
    process.kill()
    process.communicate(timeout=20)
    assert until(lambda: not sleepers(mark))


def test_killing_who_started_it_ends_all(sandbox: Sandbox, mark: str) -> None:
    spec = sandbox.spec(f"sleep {mark}")
    assert spec.report is not None
    code = (
        "import os, subprocess, sys\n"
        "command = sys.argv[1:]\n"
        "command[-1] = str(os.getpid())\n"
        "subprocess.run(command)\n"
    )
    command = sandbox.command(spec)
    parent = subprocess.Popen([command[0], "-I", "-S", "-c", code, *command], cwd="/", **sandbox.as_user)
    assert until(lambda: sleepers(mark))
    parent.kill()
    parent.wait()
    assert until(lambda: not sleepers(mark))


def test_without_who_started_it_nothing_is_run(one_sandbox: Sandbox) -> None:
    command = one_sandbox.command(one_sandbox.spec("echo ran"))
    command[-1] = "1"
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (125, "")


def test_killing_it_at_any_moment_leaves_nothing(one_sandbox: Sandbox, mark: str) -> None:
    for number in range(25):
        process = one_sandbox.start(one_sandbox.spec(f"touch /{number}; sleep {mark}"))
        time.sleep(number * 0.004)
        process.kill()
        process.communicate(timeout=20)
    assert until(lambda: not sleepers(mark))
    assert not _inits_of(one_sandbox)
    assert one_sandbox.run("echo fine").out == "fine\n"


def _inits_of(sandbox: Sandbox) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if str(sandbox.place) in line and "imgbake_sandbox" in line]


def test_zombies_are_taken_care_of(one_sandbox: Sandbox) -> None:
    script = "for i in 1 2 3 4 5; do (sleep 0.05 &) ; done; sleep 0.5; ps -o stat | grep -c Z; true"
    assert one_sandbox.run(script).out == "0\n"


def test_a_command_is_not_kept_waiting_by_its_output(one_sandbox: Sandbox) -> None:
    started = time.monotonic()
    assert one_sandbox.run("sleep 100 & echo done").out == "done\n"
    assert time.monotonic() - started < 20
