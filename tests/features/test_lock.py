"""imgbake.lock: what moves by itself stays where it is until somebody says so."""

from __future__ import annotations

import os
import subprocess

import pytest

from imgbake.testing.project import Project
from imgbake_tasks import git_remote

RECIPE = """
[tasks.assets]
uses = "git"
url = "{url}"
ref = "main"
"""


@pytest.fixture
def repository(project: Project) -> Project:
    """A git repository with one commit on main, and a recipe that takes it."""
    upstream = Project(project.root.parent / "upstream")
    upstream.root.mkdir()
    _git(upstream, "init", "-q", "-b", "main")
    _commit(upstream, "1")
    project.recipe(RECIPE.format(url=upstream.root))
    return upstream


def test_without_a_lock_the_newest_commit_is_taken(project: Project, repository: Project) -> None:
    project.make()
    second = _commit(repository, "2")
    ran = project.make()
    assert _commit_of(ran.json) == second
    assert project.read(".imgbake/tasks/assets/file.txt") == "2"


def test_a_lock_holds_the_commit_until_it_is_upgraded(project: Project, repository: Project) -> None:
    first = _head(repository)
    locked = project.run("lock")
    assert locked.code == 0 and f"added  {repository.root}#main  {first}" in locked.stdout
    second = _commit(repository, "2")
    assert _commit_of(project.make().json) == first
    assert project.run("lock").stdout.startswith("kept")
    assert _commit_of(project.make().json) == first
    moved = project.run("lock", "--upgrade", "assets")
    assert f"moved  {repository.root}#main  {first} -> {second}" in moved.stdout
    assert _commit_of(project.make().json) == second


def test_a_build_never_writes_the_lock(project: Project, repository: Project) -> None:
    project.make()
    assert not (project.root / "imgbake.lock").exists()


def test_the_command_line_names_a_commit(project: Project, repository: Project) -> None:
    first = _head(repository)
    _commit(repository, "2")
    assert _commit_of(project.make("--commit", first).json) == first
    assert _commit_of(project.make("--commit", f"assets={first}").json) == first
    states = project.run("list", "--commit", first, "--format", "json").json
    assert [each["state"] for each in states] == ["fresh"]
    ran = project.run("run", "--commit", f"asets={first}")
    assert ran.code == 2 and "did you mean 'assets'?" in ran.stderr
    project.recipe('[tasks.a]\nrun = "true"\n')
    ran = project.run("run", "--commit", first)
    assert ran.code == 2 and "check the commit out and build" in ran.stderr


def test_what_is_no_longer_used_is_dropped(project: Project, repository: Project) -> None:
    project.run("lock")
    project.recipe('[tasks.a]\nrun = "true"\n')
    assert project.run("lock").stdout.startswith("dropped")
    assert "main" not in project.read("imgbake.lock")


def test_a_name_that_nothing_has_is_refused(project: Project, repository: Project) -> None:
    ran = project.run("lock", "--upgrade", "asets")
    assert ran.code == 2 and "did you mean 'assets' or" in ran.stderr


def test_a_damaged_lock_is_told(project: Project, repository: Project) -> None:
    project.write("imgbake.lock", "[git\n")
    ran = project.run("run")
    assert ran.code == 2 and "imgbake.lock" in ran.stderr and "lock again" in ran.stderr
    (project.root / "imgbake.lock").unlink()
    os.mkfifo(project.root / "imgbake.lock")  # whoever opens it waits for somebody who writes
    assert "can't read imgbake.lock: it is not a regular file" in project.run("run").stderr


def test_a_lock_that_cannot_be_written_is_told(project: Project, repository: Project) -> None:
    project.write("imgbake.lock.new/in-the-way")
    ran = project.run("lock")
    assert (ran.code, ran.stderr) == (1, "error: can't write imgbake.lock: Is a directory\n")


def _commit_of(document: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    return document["nodes"][0]["artifact"]["reference"]


def _commit(repository: Project, content: str) -> str:
    git_remote.forget()  # a process asks a server once
    repository.write("file.txt", content)
    _git(repository, "add", ".")
    _git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", content)
    return _head(repository)


def _head(repository: Project) -> str:
    return _git(repository, "rev-parse", "HEAD")


def _git(repository: Project, *args: str) -> str:
    command = ["git", *args]
    done = subprocess.run(command, cwd=repository.root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
