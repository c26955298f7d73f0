"""imgbake shell: looking at an image from inside."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest

from imgbake.testing.project import Project
from tests.features.terminal import Terminal

BUSYBOX = shutil.which("busybox")

RECIPE = """
[args]
token = {{ secret = true, env = "TOKEN" }}

[components.busybox]
files = [{{ from = "busybox", to = "/bin/" }}, {{ from = "busybox", to = "/bin/sh" }}]
env = {{ GREETING = "hello" }}

[components.made]
files = [{{ from = "copied", to = "/srv/" }}]
build = "busybox cp /srv/copied /srv/made{fails}"
secrets = ["token"]
workdir = "/srv"

[images.app]
base = "scratch"
components = ["busybox", "made"]
env = {{ NAME = "app" }}
workdir = "/bin"
"""


@pytest.fixture
def app(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    if BUSYBOX is None:
        pytest.skip("there is no static busybox (Debian's busybox-static)")
    shutil.copy(BUSYBOX, project.root / "busybox")
    monkeypatch.setenv("TOKEN", "sesame")
    project.write("copied", "copied")
    project.recipe(RECIPE.format(fails=""))
    return project


def _shell(project: Project, *words: str) -> tuple[int, str, str]:
    """How a command in the image ends, and what it prints: it has the streams of the process."""
    argv = [sys.executable, "-m", "imgbake", "shell", *words]
    ran = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return ran.returncode, ran.stdout, ran.stderr


def test_a_command_sees_the_finished_image(app: Project) -> None:
    shown = "echo $NAME $GREETING; pwd; busybox ls /srv"
    code, out, _ = _shell(app, "app", "--", "busybox", "sh", "-c", shown)
    assert (code, out) == (0, "app hello\n/bin\ncopied\nmade\n")


def test_its_exit_code_is_ours(app: Project) -> None:
    assert _shell(app, "app", "--", "busybox", "sh", "-c", "exit 5")[0] == 5


def test_what_it_changes_is_thrown_away(app: Project) -> None:
    assert _shell(app, "app", "--", "busybox", "rm", "/srv/made")[0] == 0
    assert _shell(app, "app", "--", "busybox", "cat", "/srv/made")[:2] == (0, "copied")


def test_at_a_component_it_sees_what_the_commands_find(app: Project) -> None:
    shown = "pwd; busybox ls; busybox cat /run/secrets/token"
    code, out, _ = _shell(app, "app", "--at", "made", "--", "busybox", "sh", "-c", shown)
    assert (code, out) == (0, "/srv\ncopied\nsesame")


def test_a_component_that_fails_can_be_looked_at(app: Project) -> None:
    app.recipe(RECIPE.format(fails="; exit 3"))
    ran = app.run("build")
    assert ran.code == 1 and "imgbake shell app@oci --at made" in ran.stderr
    assert _shell(app, "app", "--at", "made", "--", "busybox", "ls", "/srv")[:2] == (0, "copied\n")
    code, _, err = _shell(app, "app", "--", "busybox", "ls")
    assert code == 1 and "image:app@oci could not be built" in err and "--at COMPONENT" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["app", "--at", "mad", "--", "x"], "has no component 'mad'\n  hint: did you mean 'made'?"),
        (["ap", "--", "x"], "no image named 'ap'"),
        (["app"], "a shell needs a terminal"),
    ],
)
def test_what_cannot_be_entered_is_said(app: Project, words: list[str], said: str) -> None:
    code, _, err = _shell(app, *words)
    assert code == 2 and said in err


def test_without_a_command_there_is_a_shell_on_the_terminal(app: Project) -> None:
    app.build()
    terminal = Terminal(app.root, sys.executable, "-m", "imgbake", "shell", "app")
    said = terminal.says(b"# ")
    terminal.types(b"echo $((6 * 7)); exit 4\n")
    said += terminal.says(b"42\r\n")
    assert terminal.ends() == 4, said


def test_others_may_build_while_somebody_looks_around(app: Project) -> None:
    words = ["shell", "app", "--", "busybox", "sh", "-c", "echo in; busybox sleep 60"]
    with app.start(*words) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == "in\n"
        assert set(app.build().outcomes().values()) == {"cached"}
        assert inside.poll() is None
        inside.send_signal(signal.SIGTERM)
    assert inside.returncode != 0
