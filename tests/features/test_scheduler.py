"""Order, parallelism, failures, limits, retries, interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from imgbake.testing.project import Project


def test_a_failure_stops_the_rest_and_shows_its_last_lines(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "echo oops; exit 3"\n[tasks.b]\nneeds = ["a"]\nrun = "true"\n')
    ran = project.run("run", "--format", "json")
    assert ran.code == 1
    assert ran.outcomes() == {"task:a": "failed", "task:b": "skipped"}
    assert "exited with code 3" in ran.stderr and "oops" in ran.stderr and "imgbake log task:a" in ran.stderr
    assert project.run("log", "a").stdout == "oops\n"


def test_a_log_is_of_the_last_run_also_when_that_printed_nothing(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "cat said; test -s said"\ninputs = ["said"]\n')
    project.write("said", "hello\n")
    project.make()
    assert project.run("log", "a").stdout == "hello\n"
    project.write("said", "")
    assert project.run("run").code == 1
    ran = project.run("log", "a")
    assert ran.code == 1
    assert "has no log" in ran.stderr


def test_keep_going_stops_only_what_depends_on_the_failure(project: Project) -> None:
    project.recipe(
        """
        [tasks.bad]
        run = "false"
        [tasks.on-bad]
        needs = ["bad"]
        run = "true"
        [tasks.on-that]
        needs = ["on-bad"]
        run = "true"
        [tasks.fine]
        run = "sleep 0.2"
        [tasks.on-fine]
        needs = ["fine"]
        run = "true"
        """
    )
    ran = project.run("run", "-k", "-j1", "--format", "json")
    assert ran.code == 1
    assert ran.outcomes() == {
        "task:bad": "failed", "task:on-bad": "skipped", "task:on-that": "skipped",
        "task:fine": "ran", "task:on-fine": "ran",
    }  # fmt: skip


def test_after_a_failure_the_next_run_begins_where_it_stopped(project: Project) -> None:
    project.recipe(
        '[tasks.a]\nrun = "echo > a"\ninputs = ["in"]\noutputs = ["a"]\n'
        '[tasks.b]\nrun = "test -e ok && cp a b"\ninputs = ["a"]\noutputs = ["b"]\n'
    )
    project.write("in")
    assert project.run("run").code == 1
    project.write("ok")
    assert project.make().outcomes() == {"task:a": "cached", "task:b": "ran"}


def test_jobs_run_at_once_but_no_more_than_asked(project: Project) -> None:
    script = "mkdir -p up; : > up/$$; ls up | wc -l >> seen; sleep 0.2; rm up/$$"
    project.recipe("".join(f'[tasks.t{n}]\nrun = "{script}"\n' for n in range(6)))
    project.make("-j3")
    seen = [int(line) for line in project.read("seen").split()]
    assert max(seen) in (2, 3)
    (project.root / "seen").unlink()
    project.make("-j1")
    assert set(project.read("seen").split()) == {"1"}


def test_a_pool_limits_what_shares_it(project: Project) -> None:
    script = "mkdir -p up; : > up/$$; ls up | wc -l >> seen; sleep 0.1; rm up/$$"
    project.recipe(
        "[project]\npools = { db = 1 }\n"
        + "".join(f'[tasks.t{n}]\nrun = "{script}"\nresources = {{ db = 1 }}\n' for n in range(4))
    )
    project.make("-j4")
    assert set(project.read("seen").split()) == {"1"}


def test_the_longest_known_chain_goes_first(project: Project) -> None:
    project.recipe(
        '[tasks.a-short]\nrun = "echo short >> order"\nalways = true\n'
        '[tasks.b-long]\nrun = "echo long >> order; sleep 0.4"\nalways = true\n'
    )
    project.make("-j1")
    (project.root / "order").unlink()
    project.make("-j1")
    assert project.read("order").split() == ["long", "short"]


def test_a_timeout_fails_the_task_and_ends_its_processes(project: Project) -> None:
    project.recipe(
        '[tasks.a]\nrun = "sleep 60 & echo $! > pid; wait"\ntimeout = "300ms"\n'.replace("300ms", "0.3s")
    )
    ran = project.run("run")
    assert ran.code == 1 and "timed out after 0.3 s" in ran.stderr
    assert not _is_alive(int(project.read("pid")))


def test_retries_run_again_and_say_so(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "echo x >> tries; test $(wc -l < tries) = 2"\nretries = 2\n')
    ran = project.make()
    assert "attempt 1 failed" in ran.stderr and ran.outcomes() == {"task:a": "ran"}


def test_ctrl_c_ends_children_and_keeps_what_is_done(project: Project) -> None:
    project.recipe(
        '[tasks.a]\nrun = "echo > a"\ninputs = ["in"]\noutputs = ["a"]\n'
        '[tasks.b]\nrun = "sleep 60 & echo $! > pid; wait; echo > b"\ninputs = ["a"]\noutputs = ["b"]\n'
    )
    project.write("in")
    process = project.start("run", "--progress", "plain")
    project.wait_for("pid")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("interrupted: 1 skipped, 1 ran in ")
    assert not _is_alive(int(project.read("pid")))
    project.recipe(project.read("imgbake.toml").replace("sleep 60 & echo $! > pid; wait; ", ""))
    assert project.make().outcomes() == {"task:a": "cached", "task:b": "ran"}


def test_a_hang_up_that_is_ignored_stops_nothing(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "kill -HUP $PPID; sleep 0.2"\n')
    command = f"trap '' HUP; exec {sys.executable} -m imgbake run"
    subprocess.run(["sh", "-c", command], cwd=project.root, capture_output=True, check=True)


def test_a_killed_build_leaves_nothing_once_the_next_one_starts(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        project.recipe(
            '[tasks.a]\nrun = "echo $$ > pid; exec sleep 60"\n[tasks.b]\nrun = "true"\n'
            f'[tasks.c]\nuses = "http"\nmethod = "POST"\nurl = "http://{address}/"\n'
        )
        process = project.start("run", "a", "c", "-j", "2")
        project.wait_for("pid")
        project.wait_for(".imgbake/work")
        time.sleep(0.2)
        process.kill()
        process.communicate()
    pid = int(project.read("pid"))
    assert _is_alive(pid)
    ran = project.make("b")
    assert "ended a process that an interrupted build left running" in ran.stderr
    assert list((project.root / ".imgbake/work").iterdir()) == []
    time.sleep(0.1)
    assert not _is_alive(pid)


def test_two_builds_of_one_project_wait_for_each_other(project: Project) -> None:
    project.recipe(
        '[tasks.a]\nrun = "echo x >> runs; sleep 0.5; echo > out"\ninputs = ["in"]\noutputs = ["out"]\n'
    )
    project.write("in")
    builds = [project.start("run", "--progress", "plain") for _ in range(4)]
    errors = [build.communicate(timeout=60)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0, 0, 0], errors
    assert project.read("runs") == "x\n"


def test_events_are_json_lines(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "echo hi"\n')
    lines = [json.loads(line) for line in project.run("run", "--progress", "json").stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "build-started", "node-started", "node-output", "node-finished", "build-finished"
    ]  # fmt: skip


def test_the_summary_counts(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "echo > a"\noutputs = ["a"]\n[tasks.b]\nrun = "true"\n')
    assert re.search(r"^2 ran in ", project.run("run").stderr, re.MULTILINE)
    assert re.search(r"^1 ran, 1 cached in ", project.run("run").stderr, re.MULTILINE)


def test_an_unwritable_project_is_one_clear_line(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "true"\n')
    project.write(".imgbake", "a file where the folder should be")
    ran = project.run("run")
    why = "can't write to .imgbake: it is not a folder"
    hint = "imgbake keeps its records in a folder of this name: rename what is there, or remove it"
    assert (ran.code, ran.stderr) == (1, f"error: {why}\n  hint: {hint}\n")
    assert project.run("list").code == 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
