"""Limits of what a sandbox uses, by control groups where they can be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgbake_sandbox.limits import Limits
from imgbake_sandbox.spec import Limits as Wanted
from imgbake_sandbox.tests.sandboxes import Sandbox

MEGABYTE = 1 << 20


def groups() -> list[str]:
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "imgbake-sandbox-" in folder]


def test_memory_is_limited(sandbox: Sandbox) -> None:
    outcome = sandbox.run("tail /dev/zero; echo code $?", limits=Wanted(memory=64 * MEGABYTE))
    assert outcome.out.splitlines()[-1] != "code 0", outcome.out
    assert outcome.report.notes
    assert not groups()


def test_enough_memory_is_not_mentioned(one_sandbox: Sandbox) -> None:
    outcome = one_sandbox.run("echo fine", limits=Wanted(memory=64 * MEGABYTE))
    if not any("no control group" in note for note in outcome.report.notes):
        assert (outcome.out, outcome.report.notes) == ("fine\n", ())


def test_a_fork_bomb_ends_under_a_limit(sandbox: Sandbox) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 0.3; echo survived"
    outcome = sandbox.run(f"({bomb}) 2> /dev/null", "echo next", limits=Wanted(processes=30))
    if (
        any("not at all for root" in note for note in outcome.report.notes)
        and sandbox.identity.kind == "root"
    ):
        pytest.skip("no control group of processes can be had")
    assert outcome.report.ended
    assert not groups()


def test_processes_are_counted(sandbox: Sandbox) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo finished"
    outcome = sandbox.run(script, limits=Wanted(processes=8))
    if (
        any("not at all for root" in note for note in outcome.report.notes)
        and sandbox.identity.kind == "root"
    ):
        pytest.skip("no control group of processes can be had")
    assert "fork" in outcome.out
    assert "finished" not in outcome.out


def test_processors_are_limited(sandbox: Sandbox) -> None:
    outcome = sandbox.run("nproc; true", limits=Wanted(cpus=0.5))
    if outcome.report.notes:
        assert outcome.out.splitlines()[-1] == "1"
    assert not groups()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a group of version 2 looks like; that files don't appear by themselves is made up for below."""
    (tmp_path / "own").write_text("0::/user.slice/session.scope\n")
    (tmp_path / "user.slice/session.scope").mkdir(parents=True)
    for folder in ("user.slice", "user.slice/session.scope"):
        (tmp_path / folder / "cgroup.subtree_control").touch()
    return tmp_path


def _appear(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A new group in this folder has the files that the kernel gives it."""
    make = os.mkdir

    def mkdir(path: str) -> None:
        make(path)
        if Path(path).parent == folder:
            for name in ("cgroup.procs", "memory.max", "memory.swap.max", "cpu.max", "pids.max"):
                (Path(path) / name).touch()

    monkeypatch.setattr(os, "mkdir", mkdir)


@pytest.mark.parametrize("parent", ["user.slice/session.scope", "user.slice"])
def test_a_group_of_version_2_is_made_below_or_beside_our_own(
    tree: Path, monkeypatch: pytest.MonkeyPatch, parent: str
) -> None:
    _appear(monkeypatch, tree / parent)
    wanted = {"memory": "1000", "cpus": "1.5", "processes": "7"}
    limits = Limits(wanted, str(tree), str(tree / "own"))
    assert limits.apply() == []
    (group,) = (tree / parent).glob("imgbake-sandbox-*")
    texts = {path.name: path.read_text() for path in group.iterdir()}
    assert texts == {
        "cgroup.procs": "0",
        "memory.max": "1000",
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "pids.max": "7",
    }
    (group / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    assert limits.kills() == 3


def test_groups_of_sandboxes_that_were_killed_are_removed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tree / "user.slice/session.scope"
    dead, alive = parent / "imgbake-sandbox-4194999", parent / f"imgbake-sandbox-{os.getppid()}"
    dead.mkdir()
    alive.mkdir()
    _appear(monkeypatch, parent)
    Limits({"memory": "1000"}, str(tree), str(tree / "own"))
    assert not dead.exists()
    assert alive.exists()


def test_without_limits_nothing_is_made(tree: Path) -> None:
    limits = Limits({}, str(tree), str(tree / "own"))
    assert limits.apply() == []
    assert limits.kills() == 0
