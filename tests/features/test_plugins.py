"""Third-party plugins: found by entry points, imported when used, and named when they are at fault."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from imgbake.testing.project import Project

GREET = '''
import msgspec, typer
from imgbake.api import Artifact, hookimpl

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str = "you"

class Greet:
    """Greets somebody."""
    kind = "greet"
    version = 1
    def __init__(self, options: Options) -> None:
        self.options = options
    def outputs(self, folder):
        return (f"{folder}/greeting.txt",)
    def parts(self, ctx):
        return ()
    def run(self, ctx):
        (ctx.root / ctx.folder / "greeting.txt").write_text(f"hello {self.options.name}")
        return Artifact("files")

class Watcher:
    def on(self, event):
        with open("events.txt", "a") as file:
            file.write(type(event).__name__ + "\\n")

command = typer.Typer()

@command.command()
def wave() -> None:
    """Waves."""
    print("waving")

@hookimpl
def imgbake_steps():
    return [Greet]

@hookimpl
def imgbake_observers():
    return [Watcher]

@hookimpl
def imgbake_commands():
    return [("wave", command)]
'''


def _install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, *entries: str, dist: str = ""
) -> None:
    """Puts a plugin's module and its metadata where Python finds installed packages."""
    site = folder / (dist or name)
    info = site / f"{dist or name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist or name}\nVersion: 1.0\n")
    lines = "".join(f"{entry} = {name}\n" for entry in entries)
    (info / "entry_points.txt").write_text(f"[imgbake]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()


@pytest.fixture
def greet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, "greet_plugin", GREET, "greet", "observer", "command")


def test_a_new_kind_of_task_works_like_a_built_in_one(project: Project, greet: None) -> None:
    project.recipe('[tasks.hi]\nuses = "greet"\nname = "Ada"\n')
    assert project.make().outcomes() == {"task:hi": "ran"}
    assert project.read(".imgbake/tasks/hi/greeting.txt") == "hello Ada"
    assert project.make().outcomes() == {"task:hi": "cached"}
    project.recipe('[tasks.hi]\nuses = "greet"\nname = "Bob"\n')
    assert "option name changed: Ada -> Bob" in project.make().stderr


def test_its_options_are_checked_and_listed(project: Project, greet: None) -> None:
    project.recipe('[tasks.hi]\nuses = "greet"\nnam = "Ada"\n')
    ran = project.run("check")
    assert ran.code == 2 and "imgbake.toml:3:1" in ran.stderr and "did you mean 'name'?" in ran.stderr
    assert "greet_plugin 1.0" in project.run("plugins").stdout
    assert "Greets somebody." in project.run("plugins").stdout
    assert project.run("plugins", "greet").stdout.split("\n")[1].split()[:3] == ["name", "string", '"you"']
    assert "greet" in project.run("schema").stdout


def test_triggers_are_listed_with_the_other_kinds(project: Project) -> None:
    listed = {each["name"]: each for each in project.run("plugins", "--format", "json").json}
    assert (listed["webhook"]["role"], listed["s3"]["role"]) == ("trigger", "destination")
    assert listed["webhook"]["origin"].startswith("imgbake_triggers.webhook (")
    assert project.run("plugins", "webhook").stdout.split("\n")[1].startswith("url ")


def test_a_misspelt_kind_is_told(project: Project, greet: None) -> None:
    project.recipe('[tasks.hi]\nuses = "gret"\n')
    ran = project.run("check")
    assert ran.code == 2 and "did you mean 'greet'" in ran.stderr


def test_observers_see_the_events(project: Project, greet: None) -> None:
    project.recipe('[tasks.hi]\nuses = "greet"\n')
    project.make()
    assert project.read("events.txt").split()[0] == "BuildStarted"
    assert project.read("events.txt").split()[-1] == "BuildFinished"


def test_a_plugin_adds_commands(project: Project, greet: None) -> None:
    assert project.run("wave").stdout == "waving\n"
    assert "wave" in project.run("--help").stdout


def test_who_resolves_bases_of_a_kind_is_imported_for_no_other(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "loud_disks", "raise SystemExit('imported')\n", "base-disk")
    project.recipe('[images.app]\nbase = "scratch"\n')
    project.build()


def test_two_plugins_with_one_kind_are_both_named(
    project: Project, greet: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "other_greet", GREET, "greet")
    project.recipe('[tasks.hi]\nuses = "greet"\n')
    ran = project.run("run")
    assert ran.code == 70
    assert "greet_plugin" in ran.stderr and "other_greet" in ran.stderr and "twice" in ran.stderr


def test_a_plugin_that_cannot_be_imported_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "broken_plugin", "import no_such_module\n", "broken")
    project.recipe('[tasks.hi]\nuses = "broken"\n')
    ran = project.run("run")
    assert ran.code == 70 and "plugin broken_plugin: can't be imported" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_plugin_that_breaks_while_it_runs_is_named_with_its_line(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GREET.replace(
        '(ctx.root / ctx.folder / "greeting.txt")', "ctx.blobs.path('sha256:' + 64 * '0'); (ctx.root)"
    )
    _install(tmp_path, monkeypatch, "greet_plugin", code, "greet")
    project.recipe('[tasks.hi]\nuses = "greet"\n[tasks.fine]\nrun = "true"\n')
    ran = project.run("run", "-k", "--format", "json")
    assert ran.code == 70 and ran.outcomes() == {"task:hi": "failed", "task:fine": "ran"}
    assert "plugin greet_plugin: failed unexpectedly: KeyError(" in ran.stderr
    assert "greet_plugin.py:" in ran.stderr and "store.py:" in ran.stderr  # who asked, and who refused


def test_a_plugin_that_breaks_while_a_plan_is_made_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GREET.replace("        return ()\n", "        return 1 / 0\n")
    _install(tmp_path, monkeypatch, "greet_plugin", code, "greet")
    project.recipe('[tasks.hi]\nuses = "greet"\n')
    for words in ["plan", "hi"], ["list"], ["explain", "hi"]:
        ran = project.run(*words)
        assert ran.code == 70 and "Traceback" not in ran.stderr
        assert "plugin greet_plugin: failed unexpectedly: ZeroDivisionError" in ran.stderr


def test_a_plugin_that_no_recipe_uses_is_not_imported(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "loud_plugin", "raise SystemExit('imported')\n", "loud")
    project.recipe('[tasks.fine]\nrun = "true"\n')
    assert project.make().outcomes() == {"task:fine": "ran"}


def test_an_edited_plugin_is_noticed_although_nothing_else_moved(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch, "greet_plugin", GREET, "greet")
    project.recipe('[tasks.hi]\nuses = "greet"\n')
    for _ in range(3):
        project.make()
    module = tmp_path / "greet_plugin" / "greet_plugin.py"
    # Of another size: one as large, written in the same second, is what Python has compiled already.
    module.write_text(GREET.replace("version = 1", "version = 10"))
    monkeypatch.delitem(sys.modules, "greet_plugin")
    assert project.make().outcomes() == {"task:hi": "ran"}
