"""What every plugin is held to, as tests that a plugin's author inherits.

    from imgbake.testing.conformance import PluginConformance

    class TestMyTarget(PluginConformance):
        recipe = '''
            [targets.mine]
            uses = "mine"

            [components.app]
            files = [{ from = "app.txt", to = "/app.txt" }]

            [images.app]
            base = "scratch"
            components = ["app"]
            targets = ["mine"]
        '''
        files = {"app.txt": "hello"}

The recipe must be one that builds wherever the tests run. Its nodes are compared by their digests.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from imgbake.testing.project import Project, Ran

Digests = dict[str, str]


class PluginConformance:
    """Subclass it, give `recipe` and `files`, and pytest finds the tests."""

    recipe: ClassVar[str]
    files: ClassVar[Mapping[str, str | bytes]] = {}
    verb: ClassVar[str] = "build"  # or "run", for a recipe of tasks
    interruptions: ClassVar[int] = 5

    def make(self, root: Path, prepare: Callable[[Project], None] | None = None) -> Project:
        """A new project with the recipe and its files."""
        root.mkdir(parents=True)
        project = Project(root)
        project.recipe(self.recipe)
        for path, content in self.files.items():
            project.write(path, content)
        if prepare is not None:
            prepare(project)
        return project

    def run(self, project: Project, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Builds; fails the test with what was printed when that fails."""
        ran = project.run(self.verb, "--format", "json", "--progress", "plain", *args, env=env)
        assert ran.code == 0, f"exit code {ran.code}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def test_the_same_inputs_give_the_same_digests(self, tmp_path: Path) -> None:
        """Two folders, two caches, other times, another umask: one result."""
        found = []
        before = os.umask(0o022)
        try:
            for name, mask in (("one", 0o022), ("two", 0o077)):
                os.umask(mask)
                project = self.make(tmp_path / name / "project", _age if name == "two" else None)
                found.append(_digests(self.run(project, env=_cache(tmp_path / name))))
        finally:
            os.umask(before)
        assert found[0] == found[1]

    def test_nothing_runs_when_nothing_changed(self, tmp_path: Path) -> None:
        """The second build has nothing to do, and says the same digests."""
        project = self.make(tmp_path / "project")
        first = self.run(project)
        second = self.run(project)
        assert set(second.outcomes().values()) == {"cached"}
        assert _digests(first) == _digests(second)

    def test_forced_runs_give_the_same_digests(self, tmp_path: Path) -> None:
        """What it makes depends on its inputs alone, not on what it made before."""
        project = self.make(tmp_path / "project")
        assert _digests(self.run(project)) == _digests(self.run(project, "--force"))

    def test_a_plan_changes_nothing(self, tmp_path: Path) -> None:
        """Neither before the first build nor after it."""
        project = self.make(tmp_path / "project")
        for _ in range(2):
            before = _snapshot(tmp_path)
            assert project.run("plan", env=_cache(tmp_path)).code == 0
            assert _snapshot(tmp_path) == before
            self.run(project, env=_cache(tmp_path))

    def test_lowering_is_pure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same documents every time, without a network, and nothing written."""
        if self.verb != "build":
            pytest.skip("only images are lowered")
        project = self.make(tmp_path / "project")
        names = [name for name in self.run(project).outcomes() if name.startswith("image:")]
        monkeypatch.setattr(socket, "socket", _no_network)
        before = _snapshot(tmp_path)
        for name in names:
            texts = {project.run("lower", name).stdout for _ in range(2)}
            assert len(texts) == 1 and texts != {""}
        assert _snapshot(tmp_path) == before

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_an_interrupted_build_leaves_nothing_wrong(self, tmp_path: Path, how: signal.Signals) -> None:
        """Stopped or killed at several moments, the next build gives what an undisturbed one gives."""
        clean = self.make(tmp_path / "clean" / "project")
        started = time.monotonic()
        expected = _digests(self.run(clean, env=_cache(tmp_path / "clean")))
        lasted = max(0.3, time.monotonic() - started)
        project = self.make(tmp_path / "project")
        for number in range(self.interruptions):
            process = project.start(self.verb, "--force", "--progress", "quiet", env=_cache(tmp_path))
            try:
                process.wait(lasted * (number + 1) / (self.interruptions + 1))
            except subprocess.TimeoutExpired:
                process.send_signal(how)
            _, said = process.communicate(timeout=60)
            assert process.returncode in (0, 130, -how) or _was_starting(said), said
        assert _digests(self.run(project, env=_cache(tmp_path))) == expected

    def test_an_unknown_option_is_an_error_of_the_recipe(self, tmp_path: Path) -> None:
        """It is refused before anything runs, with its place."""

        def misspell(project: Project) -> None:
            text = project.read("imgbake.toml")
            place = (
                text.index("\n", text.index("uses"))
                if "uses" in text
                else text.index("\n", text.index("run"))
            )
            project.recipe(text[:place] + '\nno_such_option = "x"' + text[place:])

        ran = self.make(tmp_path / "project", misspell).run("check")
        assert ran.code == 2 and "no_such_option" in ran.stderr and "imgbake.toml:" in ran.stderr


def _was_starting(said: str) -> bool:
    """Did the signal meet Python before Python met imgbake? Then the exit code is Python's."""
    return "Fatal Python error: init" in said or "Could not import runpy" in said


def _digests(ran: Ran) -> Digests:
    return {
        node["node"]: node["artifact"]["digest"]
        for node in ran.json["nodes"]
        if node["node"].startswith(("image:", "task:"))
    }


def _cache(folder: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(folder / "cache")}


def _age(project: Project) -> None:
    for path in project.root.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def _snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file of the project, but not what an index of the cache does to itself when it is read."""
    return {path: entry for path, entry in _entries(folder) if "/cache/" not in path}


def _entries(folder: Path) -> Iterator[tuple[str, tuple[int, int, bytes]]]:
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        yield str(path), (found.st_mode, found.st_mtime_ns, content)


def _no_network(*args: object, **more: object) -> socket.socket:
    raise AssertionError("lower must not use the network")
