"""Sandboxes from a server: what they are given, how they end, and what becomes of the server."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from imgbake_sandbox import serving
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.report import Report
from imgbake_sandbox.serving import Server
from imgbake_sandbox.spec import Command, Spec
from imgbake_sandbox.tests.sandboxes import Sandbox
from imgbake_sandbox.tests.test_ending import mark, sleepers, until

__all__ = ["mark"]  # a fixture


@pytest.fixture
def server(sandbox: Sandbox) -> Server:
    """A server of an identity that we can have ourselves."""
    if sandbox.as_user:
        pytest.skip("a server belongs to who starts it: the features' tests bake as an ordinary user")
    return Server(sandbox.identity)


def begin(server: Server, spec: Spec, env: Mapping[bytes, bytes] | None = None) -> tuple[int, int]:
    """Starts a sandbox. Returns its process, and what to read its output from."""
    assert spec.report is not None
    reader, writer = os.pipe()
    path = spec.write(spec.report.with_name("spec"))
    try:
        process = server.start([path], env or {}, Path("/"), stdout=writer, stderr=writer)
    finally:
        os.close(writer)
    return process, reader


def finish(begun: tuple[int, int]) -> tuple[int, str]:
    """The exit code, negative for a signal, and all that was printed."""
    process, reader = begun
    with open(reader, encoding="utf-8") as output:
        said = output.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said


def test_a_sandbox_is_a_child_of_ours_and_leads_a_group(sandbox: Sandbox, server: Server) -> None:
    begun = begin(server, sandbox.spec("echo out; echo err >&2; exit 7"))
    process, _ = begun
    assert os.getpgid(process) == os.getsid(process) == process
    assert finish(begun) == (7, "out\nerr\n")


def test_a_sandbox_gets_its_own_environment_and_no_other(sandbox: Sandbox, server: Server) -> None:
    command = Command(("/bin/sh", "-c"), variable="TEXT")
    for value in ("echo one; env | grep -c TEXT", "echo two; env | grep -c TEXT"):
        begun = begin(server, sandbox.spec(commands=(command,)), {b"TEXT": value.encode(), b"LC_ALL": b"C"})
        assert finish(begun)[1].split() == [value[5:8], "0"]


def test_a_long_environment_arrives_whole(sandbox: Sandbox, server: Server) -> None:
    commands = tuple(Command(("/bin/sh", "-c"), variable=f"C{number}") for number in range(20))
    env = {f"C{number}".encode(): f": {'x' * 100_000}; echo {number}".encode() for number in range(20)}
    assert finish(begin(server, sandbox.spec(commands=commands), env))[1].split() == [
        str(number) for number in range(20)
    ]


def test_many_threads_share_a_server(sandbox: Sandbox, server: Server) -> None:
    uppers = [sandbox.folder(f"upper-{number}") for number in range(12)]
    said: dict[str, tuple[int, str]] = {}

    def bake(upper: Path, spec: Spec) -> None:
        said[upper.name] = finish(begin(server, spec))

    specs = [
        sandbox.spec(f"echo {upper.name} > /mine; sleep 0.1; cat /mine", upper=upper) for upper in uppers
    ]
    threads = [threading.Thread(target=bake, args=pair) for pair in zip(uppers, specs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {upper.name: (0, f"{upper.name}\n") for upper in uppers}


def test_sandboxes_of_one_server_do_not_see_each_other(sandbox: Sandbox, server: Server, mark: str) -> None:
    first = begin(server, sandbox.spec(f"sleep {mark}"))
    assert until(lambda: sleepers(mark))
    other = sandbox.spec(
        f"ps | grep -c '[s]leep {mark}'; kill -9 -1; ls /proc | grep -c '^[0-9]'", upper=None
    )
    assert finish(begin(server, other))[1].split()[0] == "0"
    assert len(sleepers(mark)) == 1
    os.killpg(first[0], signal.SIGTERM)
    finish(first)


def test_a_signal_to_the_group_ends_a_sandbox(sandbox: Sandbox, server: Server, mark: str) -> None:
    begun = begin(server, sandbox.spec(f"trap 'echo told; exit 9' TERM; sleep {mark} & wait", "echo never"))
    assert until(lambda: sleepers(mark))
    os.killpg(begun[0], signal.SIGTERM)
    assert finish(begun) == (9, "told\n")
    assert not sleepers(mark)


def test_a_signal_that_comes_at_once_is_not_lost(sandbox: Sandbox, server: Server) -> None:
    for delay in (0.0, 0.001, 0.002, 0.004, 0.006, 0.01):
        begun = begin(server, sandbox.spec("sleep 30"))
        time.sleep(delay)
        os.killpg(begun[0], signal.SIGTERM)
        started = time.monotonic()
        assert finish(begun)[0] in (-signal.SIGTERM, 128 + signal.SIGTERM)
        assert time.monotonic() - started < 10


def test_killing_a_sandbox_ends_all_in_it(sandbox: Sandbox, server: Server, mark: str) -> None:
    begun = begin(server, sandbox.spec(f"trap '' TERM HUP; setsid sleep {mark} & sleep {mark}; sleep {mark}"))
    assert until(lambda: len(sleepers(mark)) == 2)
    os.kill(begun[0], signal.SIGKILL)
    assert finish(begun)[0] == -signal.SIGKILL
    assert until(lambda: not sleepers(mark))


_OUTLIVED = """
import os, sys
from pathlib import Path
import msgspec
from imgbake_sandbox.identity import Identity
from imgbake_sandbox.serving import Server
server = Server(msgspec.json.decode(sys.argv[1], type=Identity))
print(server._process.pid, flush=True)
server.run(sys.argv[2])
"""


def test_killing_who_asked_ends_sandbox_and_server(sandbox: Sandbox, server: Server, mark: str) -> None:
    spec = sandbox.spec(f"sleep {mark}")
    assert spec.report is not None
    path = spec.write(spec.report.with_name("spec"))
    words = msgspec.json.encode(sandbox.identity).decode(), path
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _OUTLIVED, *words], stdout=subprocess.PIPE, text=True
    ) as asker:
        assert asker.stdout is not None
        process = int(asker.stdout.readline())
        assert until(lambda: sleepers(mark))
        asker.kill()
    assert until(lambda: not sleepers(mark))
    assert until(lambda: not Path(f"/proc/{process}").exists())


def test_a_sandbox_outlives_its_server(sandbox: Sandbox, server: Server, mark: str) -> None:
    begun = begin(server, sandbox.spec("sleep 0.3; echo done"))
    server._process.kill()
    server._process.wait()
    assert finish(begun) == (0, "done\n")
    with pytest.raises(OSError):
        begin(server, sandbox.spec("true"))


def test_a_server_that_was_killed_is_started_again(sandbox: Sandbox, server: Server) -> None:
    first = serving.server(sandbox.identity)
    assert serving.server(sandbox.identity) is first
    first._process.kill()
    first._process.wait()
    again = serving.server(sandbox.identity)
    assert finish(begin(again, sandbox.spec("echo fine"))) == (0, "fine\n")


def test_a_server_ends_when_nobody_has_it(one_sandbox: Sandbox) -> None:
    server = Server(one_sandbox.identity)
    assert server.failed() is None
    process = server._process
    del server
    gc.collect()
    assert process.wait(timeout=20) == 0


def test_what_the_kernel_refuses_is_known(one_sandbox: Sandbox) -> None:
    server = Server(Identity("root", ((0, 0, 1), (0, 0, 1)), ((0, 0, 1),)))
    failed = server.failed()
    assert failed is not None and failed.stage == "map" and "uid_map can't be written" in failed.message


def test_the_servers_program_cannot_be_changed_from_inside(sandbox: Sandbox, server: Server) -> None:
    if os.geteuid():
        pytest.skip("needs root to be tempted")
    code = (
        "import os\n"
        "for name in ('/proc/1/exe', '/proc/self/exe'):\n"
        "    for function, *arguments in ((os.chmod, 0o777), (os.truncate, 0), (os.open, os.O_WRONLY)):\n"
        "        try: function(name, *arguments)\n"
        "        except OSError as error: print(error.strerror)\n"
        "        else: print('done')\n"
    )
    (sandbox.lower / "evil").symlink_to("/proc/self/exe")
    said = finish(begin(server, sandbox.python(code, "/evil")))[1]
    assert "done" not in said and len(said.splitlines()) == 6


def test_the_report_is_written(sandbox: Sandbox, server: Server) -> None:
    spec = sandbox.spec("true", "exit 3", "echo never")
    assert finish(begin(server, spec)) == (3, "")
    assert spec.report is not None
    assert [ended.code for ended in Report.read(spec.report).ended] == [0, 3]
