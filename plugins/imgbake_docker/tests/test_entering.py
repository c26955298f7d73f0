"""`imgbake shell` on an engine: looking at an image from inside."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from imgbake_docker.tests.projects import OnEngine

TABLES = """
    [components.first]
    env = { GREETING = "hello" }
    build = "echo one > /one"
    network = "none"

    [components.app]
    files = [{ from = "copied", to = "/srv/" }]
    build = "cp /srv/copied /srv/made%s"
    workdir = "/srv"
    network = "none"
"""


@pytest.fixture
def app(project: OnEngine) -> OnEngine:
    project.write("copied", "copied")
    project.image(TABLES % "", 'env = { NAME = "app" }\nworkdir = "/etc"')
    return project


def _shell(app: OnEngine, *words: str, typed: str = "") -> tuple[int, str, str]:
    """How a command ends, and what it prints: it has the streams of the process."""
    argv = [sys.executable, "-m", "imgbake", "shell", "app@docker", *words]
    ran = subprocess.run(argv, cwd=app.root, capture_output=True, text=True, input=typed)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def test_a_command_sees_the_finished_image_and_has_our_streams(app: OnEngine) -> None:
    shown = "echo $NAME $GREETING; pwd; ls /srv; cat; echo oops >&2; rm /srv/made; exit 5"
    code, out, err = _shell(app, "--", "sh", "-c", shown, typed="typed\n")
    assert (code, out) == (5, "app hello\n/etc\ncopied\nmade\ntyped\n"), err
    assert err.endswith("oops\n")
    assert _shell(app, "--", "ls", "/srv/made")[:2] == (0, "/srv/made\n")


def test_at_a_component_it_sees_what_the_commands_find(app: OnEngine) -> None:
    app.image(TABLES % "; exit 3", 'env = { NAME = "app" }')
    shown = "pwd; ls; cat /one; echo $NAME"
    assert _shell(app, "--at", "app", "--", "sh", "-c", shown)[:2] == (0, "/srv\ncopied\none\n\n")
    assert _shell(app, "--at", "first", "--", "ls", "/one")[0] == 1
    code, _, err = _shell(app, "--", "ls")
    assert code == 1 and "image:app@docker could not be built" in err


def test_secrets_are_there_and_stay_nowhere(app: OnEngine, builder: str) -> None:
    if builder != "buildkit":
        pytest.skip("the classic builder has none")
    text = app.read("imgbake.toml").replace("[components.app]", '[components.app]\nsecrets = ["token"]')
    app.recipe("[args]\ntoken = { secret = true }\n" + text)
    words = ("--arg", "token=s3cr3t-value", "--at", "app", "--", "cat", "/run/secrets/token")
    assert _shell(app, *words)[:2] == (0, "s3cr3t-value")


def test_ctrl_c_removes_the_container(app: OnEngine) -> None:
    app.build()
    argv = [sys.executable, "-m", "imgbake", "shell", "app@docker", "--", "sh", "-c", "echo in; sleep 78"]
    with subprocess.Popen(argv, cwd=app.root, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"in\n"
        assert _containers(app) == 1
        inside.send_signal(signal.SIGINT)
        assert inside.wait(30) == 130
    assert _containers(app) == 0


def test_without_a_command_there_is_a_shell_on_the_terminal(app: OnEngine) -> None:
    app.build()
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(app.root)
        os.execv(sys.executable, [sys.executable, "-m", "imgbake", "shell", "app@docker"])
    said = _read_until(terminal, b"# ")
    os.write(terminal, b"sleep 79\n")
    time.sleep(0.5)
    os.write(terminal, b"\x03")  # is for the command, not for us
    os.write(terminal, b"tty; echo $((6 * 7)); exit 4\n")
    said += _read_until(terminal, b"42\r\n")
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 4, said
    assert b"/dev/pts/" in said or b"/dev/console" in said


def _containers(app: OnEngine) -> int:
    image = app.baked()["Id"]
    return sum(each["ImageID"] == image for each in app.client.containers(all=True))


def _read_until(terminal: int, end: bytes) -> bytes:
    said, last = b"", time.monotonic() + 30
    while end not in said and time.monotonic() < last:
        said += os.read(terminal, 4096)
    return said
