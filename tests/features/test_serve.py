"""`imgbake serve`: commands that are handed over come to the same as those that are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgbake.testing.project import Project, Ran
from tests.features.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a server needs Linux")
PYTHON = sys.executable
SLOW = """
    [tasks.slow]
    run = "echo $$ > pid; exec sleep 60"
    [tasks.a]
    run = "echo $$ > pid; sleep 1; echo > out"
"""


class Server:
    """An `imgbake serve`, and what it says."""

    def __init__(self, project: Project) -> None:
        self.process = project.start("serve")
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.says("serving at ")

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def says(self, what: str, times: int = 1) -> None:
        """Waits for a line with these words. Raises TimeoutError."""
        last = time.monotonic() + 60
        while sum(what in line for line in list(self.said)) < times:
            if time.monotonic() > last or self.process.poll() is not None:
                raise TimeoutError(f"the server said no {what!r}: {self.said}")
            time.sleep(0.01)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it, and returns its exit code."""
        self.process.send_signal(number)
        self._reader.join(60)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.wait(60)


@pytest.fixture
def server(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that commands of the test find."""
    with _served(project, monkeypatch) as found:
        yield found


@contextmanager
def _served(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        found = Server(project)
        try:
            yield found
        finally:
            found.end()


def _typed(project: Project, *words: str, env: dict[str, str] | None = None) -> Ran:
    """A command that was typed: in a process of its own, to its end."""
    process = project.start(*words, env=env)
    out, errors = process.communicate(timeout=60)
    return Ran(process.returncode, out, errors)


def _in_shell(project: Project, command: str) -> Ran:
    ran = subprocess.run(["sh", "-c", command], cwd=project.root, capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def _started(project: Project) -> int:
    """Waits for a task to write down the number of its process."""
    last = time.monotonic() + 30
    while not (project.wait_for("pid").read_text()) and time.monotonic() < last:
        time.sleep(0.01)
    return int(project.read("pid"))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()


def _await_end(pid: int) -> None:
    last = time.monotonic() + 30
    while _is_alive(pid) and time.monotonic() < last:
        time.sleep(0.01)
    assert not _is_alive(pid)


def test_a_command_runs_as_where_it_was_typed(project: Project, server: Server) -> None:
    project.recipe('[tasks.a]\nrun = "pwd; echo $FOO; exit 3"\npass_env = ["FOO"]\n')
    ran = _typed(project, "run", "a", env={"FOO": "bar"})
    assert (ran.code, ran.stdout) == (1, "")
    assert f"task:a | {project.root}\ntask:a | bar\n" in ran.stderr and "exited with code 3" in ran.stderr
    server.says(f"{project.root}: run\n")


def test_what_has_nothing_to_do_needs_no_server(project: Project, server: Server) -> None:
    project.recipe('[tasks.a]\nrun = "echo > out"\noutputs = ["out"]\n')
    time.sleep(0.1)  # files that were just written prove nothing
    assert "1 ran" in _typed(project, "run").stderr
    time.sleep(0.1)
    assert "1 cached" in _typed(project, "run").stderr
    server.says(": run", 2)
    known = list(server.said)
    assert "nothing to do: 1 cached" in _typed(project, "run").stderr
    assert server.said == known


def test_files_that_are_open_are_handed_over(project: Project, server: Server) -> None:
    project.write("recipe", '[tasks.a]\nrun = "cat"\n')
    ran = _in_shell(project, f"exec 7<recipe; {PYTHON} -m imgbake list -f /dev/fd/7 | cat")
    assert "task:a" in ran.stdout
    server.says(f"{project.root}: list")
    ran = _in_shell(project, f"exec <&- >&-; {PYTHON} -m imgbake frob")
    assert "No such command 'frob'" in ran.stderr
    server.says(f"{project.root}: frob")


def test_what_can_not_be_handed_over_is_not(project: Project, server: Server) -> None:
    project.recipe('[tasks.a]\nrun = "umask; ulimit -n"\n')
    _in_shell(project, f"{PYTHON} -m imgbake --show-completion")  # who asks is seen by their parents
    ran = _in_shell(project, f"umask 027; ulimit -n 200; LD_LIBRARY_PATH=/lib {PYTHON} -m imgbake run")
    assert "task:a | 0027\ntask:a | 200\n" in ran.stderr
    server.says("run: not served, for it has other LD_LIBRARY_PATH, Umask, limits")
    assert len(server.said) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_what_runs(project: Project, server: Server, number: signal.Signals) -> None:
    project.recipe(SLOW)
    process = project.start("run", "slow")
    pid = _started(project)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.splitlines()[-1].startswith("interrupted: "), errors
    assert not _is_alive(pid)


def test_a_command_that_is_killed_ends_so(project: Project, server: Server) -> None:
    project.recipe('[tasks.a]\nrun = "kill -9 $PPID"\n')
    assert _typed(project, "run").code == -signal.SIGKILL
    server.says(": run")


def test_killing_who_typed_it_stops_it(project: Project, server: Server) -> None:
    project.recipe(SLOW)
    process = project.start("run", "slow")
    pid = _started(project)
    process.kill()
    process.communicate()
    last = time.monotonic() + 30
    while _is_alive(pid) and time.monotonic() < last:
        time.sleep(0.01)
    assert not _is_alive(pid)


def test_a_server_that_is_ended_waits_for_what_runs(project: Project, server: Server) -> None:
    project.recipe(SLOW)
    process = project.start("run", "a")
    _started(project)
    assert server.end(signal.SIGHUP) == 0
    assert "waiting for 1 to end; interrupt again to leave them\n" in server.said
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "1 ran" in errors and (project.root / "out").exists()
    assert _typed(project, "check").code == 0  # by itself


def test_a_server_that_is_killed_leaves_nothing_half_done(project: Project, server: Server) -> None:
    project.recipe(SLOW)
    process = project.start("run", "a")
    _started(project)
    server.end(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and (project.root / "out").exists()
    assert "error: `imgbake serve` ended before the command did" in errors
    assert _typed(project, "check").code == 0
    again = Server(project)
    assert _typed(project, "check").code == 0
    again.says("check")
    assert again.end() == 0


def test_one_server_is_enough(project: Project, server: Server) -> None:
    ran = _typed(project, "serve")
    assert ran.code == 1
    assert ran.stderr.startswith("error: another `imgbake serve` of yours is running\n")


def test_a_folder_that_others_may_enter_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "imgbake").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(project.root))
    ran = _typed(project, "serve")
    assert ran.code == 1 and "imgbake is not a folder of yours alone" in ran.stderr


def test_code_that_was_changed_is_loaded_anew(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from imgbake.api import hookimpl\n\n@hookimpl\ndef imgbake_observers():\n    return [Hello]\n\n"
    code += "class Hello:\n    def on(self, event):\n        open('said', 'w').write('%s')\n"
    plugin = project.write("site/hello/__init__.py", code % "first")
    project.write("site/hello/broken/__init__.py", "raise SystemExit('only to be run')")
    project.write("site/hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
    project.write("site/hello-1.0.dist-info/entry_points.txt", "[imgbake]\nobserver = hello\n")
    project.recipe('[tasks.a]\nrun = "true"\n')
    monkeypatch.setenv("PYTHONPATH", str(project.root / "site"))
    with _served(project, monkeypatch) as server:
        for times, word in enumerate(("first", "second"), 1):
            plugin.write_text(code % word)
            assert _typed(project, "run").code == 0
            assert project.read("said") == word
            server.says("serving at ", times)
        assert "the code of imgbake or of a plugin has changed: starting anew\n" in server.said
        assert _typed(project, "check").code == 0
        server.says("check")


def test_what_is_in_the_background_is_not_handed_over(project: Project, server: Server) -> None:
    project.recipe('[tasks.a]\nrun = "true"\n')
    terminal = Terminal(project.root, "/bin/sh", "-c", f"set -m; {PYTHON} -m imgbake run & wait; read line")
    terminal.says(b"1 ran")
    terminal.types(b"\n")
    terminal.ends()
    assert len(server.said) == 1  # it could read what is typed for the shell


def test_secrets_are_asked_for_on_the_terminal(project: Project, server: Server) -> None:
    project.recipe("""
        [args.pw]
        secret = true
        [tasks.a]
        run = "echo ${#PW}"
        env = { PW = "{{ pw }}" }
    """)
    terminal = Terminal(project.root, PYTHON, "-m", "imgbake", "run", "--progress", "plain")
    said = terminal.says(b"pw: ")
    terminal.types(b"hidden\n")
    said += terminal.says(b"1 ran")
    assert terminal.ends() == 0
    assert b"task:a | 6" in said and b"hidden" not in said
    server.says(": run")
