"""However a build with commands ends, nothing of it is left, and the next one is right."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake.testing.busybox import OnBusybox, phases, printed
from imgbake_oci.tests.baked import baked

SLOW = """
[components.quick]
build = "echo quick > /quick"
[components.slow]
build = "echo begun > /var/run/begun; sleep {mark} & echo half > /half; {trap} sleep {mark}; echo all > /half"
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def env(cache: Path) -> dict[str, str]:
    return {"IMGBAKE_CACHE_DIR": str(cache)}


@pytest.fixture
def mark() -> str:
    """A number of seconds to sleep that nobody else sleeps."""
    return f"9{os.getpid()}.{time.monotonic_ns() % 1_000_000}"


@pytest.fixture(autouse=True)
def no_mounts_are_left(tmp_path: Path) -> Iterator[None]:
    """Checks the host's mounts after each test."""
    yield
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def sleepers(mark: str) -> int:
    """How many processes have the mark among their words."""
    found = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found += mark.encode() in (folder / "cmdline").read_bytes().split(b"\0")
    return found


def children(process: int, name: str) -> list[int]:
    """The processes of this name that a process has started."""
    lists = [task.joinpath("children").read_text() for task in Path(f"/proc/{process}/task").iterdir()]
    return [
        int(child)
        for child in " ".join(lists).split()
        if Path(f"/proc/{child}/comm").read_text().strip() == name
    ]


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())


def left(cache: Path) -> list[str]:
    """What a build that has ended should not have left behind."""
    work = [path.name for path in (cache / "runners/sandbox/work").glob("*")]
    parts = [path.name for path in (cache / "runners/sandbox/rootfs").glob("*.part")]
    return work + parts + [path.name for path in (cache / "tmp").glob("layer-*")]


def started(app: OnBusybox, env: dict[str, str], mark: str, trap: str = "") -> subprocess.Popen[str]:
    """A build whose second component sleeps by now."""
    app.image(SLOW.format(mark=mark, trap=trap))
    process = app.start("build", "--progress", "plain", env=env)
    assert until(lambda: sleepers(mark) == 2), process.communicate()
    return process


def next_build_is_right(app: OnBusybox, env: dict[str, str], cache: Path) -> None:
    """Bakes the same with nothing to wait for."""
    ran = app.bake(SLOW.format(mark="0", trap=""), env=env)
    assert phases(ran) == ["slow: build"], ran.stderr
    assert baked(app).files() == {"half": "all\n"}
    assert not left(cache)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str, number: signal.Signals
) -> None:
    process = started(app, env, mark)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said, said
    assert sleepers(mark) == 0 and not left(cache)
    next_build_is_right(app, env, cache)


def test_interrupting_twice_does_not_wait_for_those_who_refuse(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    process = started(app, env, mark, trap="trap '' TERM INT HUP;")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - begun < 15
    assert sleepers(mark) == 0 and not left(cache)


def test_a_killed_build_leaves_no_process_and_the_next_one_sweeps(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    process = started(app, env, mark, trap="trap '' TERM INT HUP;")
    process.kill()
    process.communicate(timeout=20)
    assert until(lambda: sleepers(mark) == 0)
    assert left(cache)  # its folders: nobody was there to remove them
    next_build_is_right(app, env, cache)


def test_what_another_project_left_is_swept_too(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    process = started(app, env, mark)
    process.kill()
    process.communicate(timeout=20)
    folder = app.root.parent / "other"
    folder.mkdir()
    other = OnBusybox(folder, app.base)
    other.bake('[components.a]\nbuild = "true"\n', env=env)
    assert not left(cache)


def test_a_build_that_still_runs_is_not_swept(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    process = started(app, env, mark)
    folder = app.root.parent / "other"
    folder.mkdir()
    other = OnBusybox(folder, app.base)
    other.bake('[components.a]\nbuild = "true"\n', env=env)
    assert sleepers(mark) == 2 and left(cache)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert not left(cache)


@pytest.mark.parametrize("trap", ["", "trap '' TERM INT HUP;"])
def test_a_timeout_leaves_nothing(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgbake.engine import process

    monkeypatch.setattr(process, "GRACE", 0.3)
    text = SLOW.format(mark=mark, trap=trap) + "timeout = 0.5\n"
    ran = app.fail(text, env=env)
    assert "component 'slow': timed out after 0.5 s" in ran.stderr
    assert sleepers(mark) == 0 and not left(cache)
    next_build_is_right(app, env, cache)


def test_a_failed_command_leaves_nothing(app: OnBusybox, env: dict[str, str], cache: Path, mark: str) -> None:
    app.fail(f'[components.a]\nbuild = "echo > /x; sleep {mark} & false"\n', env=env)
    assert sleepers(mark) == 0 and not left(cache)


def test_killing_it_at_any_moment_does_no_harm(app: OnBusybox, env: dict[str, str], cache: Path) -> None:
    text = """
    [components.a]
    build = "echo a > /a"
    [components.b]
    build = "cat /a > /b"
    validate = "test -s /b"
    """
    app.image(text)
    for number in range(10):
        process = app.start("build", "-B", "--progress", "plain", env=env)
        time.sleep(0.1 + number * 0.04)
        process.kill()
        process.communicate(timeout=20)
    ran = app.bake(text, "", "-B", env=env)
    assert phases(ran) == ["a: build", "b: build", "b: validate"]
    assert baked(app).files() == {"b": "a\n"} and baked(app).files(-2) == {"a": "a\n"}
    assert not left(cache)


def test_a_sandbox_that_is_killed_is_a_failure(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    process = started(app, env, mark)
    for child in children(process.pid, "sandbox"):
        os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1 and "component 'slow': its sandbox was killed by signal 9" in said, said
    assert until(lambda: sleepers(mark) == 0) and not left(cache)
    next_build_is_right(app, env, cache)


def test_the_server_of_sandboxes_may_be_killed(
    app: OnBusybox, env: dict[str, str], cache: Path, mark: str
) -> None:
    app.image('[components.a]\nbuild = "sleep 1; echo a > /a"\n[components.b]\nbuild = "echo b > /b"\n')
    process = app.start("build", "--progress", "plain", env=env)
    assert until(lambda: children(process.pid, "sandbox"))
    for child in children(process.pid, "sandboxes"):
        os.kill(child, signal.SIGKILL)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert "-- b: build" in said


def test_two_builds_of_one_component_at_once(app: OnBusybox, env: dict[str, str], cache: Path) -> None:
    folder = app.root.parent / "other"
    folder.mkdir()
    other = OnBusybox(folder, app.base)
    text = '[components.a]\nbuild = "sleep 0.3; seq 1000 > /a"\n[components.b]\nbuild = "tail -1 /a > /b"\n'
    running = []
    for each in (app, other):
        each.image(text)
        running.append(each.start("build", "--progress", "plain", env=env))
    for process in running:
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
    assert baked(app).root["digest"] == baked(other).root["digest"]
    assert baked(app).files() == {"b": "1000\n"}
    assert not left(cache)


def test_a_project_that_cannot_be_written_to_is_told_so(app: OnBusybox, env: dict[str, str]) -> None:
    app.image('[components.a]\nbuild = "true"\n')
    app.write(".imgbake", "a file where the folder should be")
    ran = app.run("build", "--progress", "plain", env=env)
    assert ran.code == 1 and "can't write to" in ran.stderr and "Traceback" not in ran.stderr


def test_many_commands_of_much_output(app: OnBusybox, env: dict[str, str]) -> None:
    commands = ", ".join(f'"echo {number}"' for number in range(40))
    ran = app.bake(f'[components.a]\nbuild = [{commands}, "seq 20000"]\n', env=env)
    assert printed(ran)[:40] == [str(number) for number in range(40)]
    assert printed(ran)[-1] == "20000"
