"""Images that another tool's file describes: a plugin says which files those are, another bakes them."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

from imgbake.testing.project import Project

NOTE = '''
import msgspec
from imgbake.api import (
    Argument, Artifact, BakeError, Described, Given, Lowered, Tree, Where, hookimpl,
)

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str
    words: dict[str, str] = {}
    secrets_of: tuple[str, ...] = ()

class Note:
    """A note: `copy PATH`, `from BASE`, `need NAME`, one to a line."""
    kind = "note"
    version = 1
    def __init__(self, options: Options) -> None:
        self.options = options
    def _lines(self, root):
        try:
            text = (root / self.options.note).read_text()
        except OSError as error:
            raise BakeError(f"{self.options.note} can't be read: {error.strerror}") from None
        for number, line in enumerate(text.splitlines(), 1):
            verb, _, what = line.partition(" ")
            if verb not in ("copy", "from", "need"):
                where = Where(self.options.note, number, 1, line, len(line))
                raise BakeError(f"nobody knows what to {verb}", where=where)
            yield verb, what, number
    def secrets(self):
        return self.options.secrets_of
    def arguments(self, given, root):
        found = []
        for verb, what, number in self._lines(root):
            if verb == "need":
                value = given.said.get(what, self.options.words.get(what, given.recipe.get(what)))
                found.append(Argument(what, "", f"{self.options.note}:{number}", None, value, True, "a word"))
        return found
    def reads(self, given, root):
        try:
            return [self.options.note, *(what for verb, what, _ in self._lines(root) if verb == "copy")]
        except BakeError:
            return ["**"]
    def describe(self, given, ctx):
        ctx.exact([self.options.note])
        lines = list(self._lines(ctx.root))
        files = ctx.exact([what for verb, what, _ in lines if verb == "copy"])
        bases = {what: ctx.base(what) for verb, what, _ in lines if verb == "from"}
        args = {one.name: one.value for one in self.arguments(given, ctx.root)}
        plan = [f"{verb} {what}" for verb, what, _ in lines]
        return Described(self.kind, plan, files, bases, args)

class BoxOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass

class Box:
    """Bakes notes only."""
    kind = "box"
    version = 1
    artifact = "container"
    phases = frozenset()
    accepts = frozenset({"note"})
    def __init__(self, options: BoxOptions) -> None:
        pass
    def lower(self, blueprint):
        return Lowered({"plan": "\\n".join(blueprint.described.plan)})
    def bake(self, blueprint, lowered, ctx):
        described = blueprint.described
        said = repr((described.args, [(e.path, e.value()) for e in described.files.entries], described.plan))
        return Artifact("container", ctx.blobs.add_bytes(said.encode()))
    def test(self, artifact, blueprint, ctx):
        pass
    def present(self, artifact, ctx):
        return True

class Shelf(Box):
    """Keeps what it bakes on a shelf, outside of the project."""
    kind = "shelf"
    volatile = True
    def bake(self, blueprint, lowered, ctx):
        place = ctx.root.parent / "shelf"
        place.write_text(lowered.documents["plan"])
        return Artifact("container", "", str(place))
    def present(self, artifact, ctx):
        return are_on_shelf([artifact.reference])[0]
    def question(self, artifact):
        return are_on_shelf, artifact.reference

def are_on_shelf(paths):
    import os
    return [os.path.exists(path) for path in paths]

@hookimpl
def imgbake_formats():
    return [Note]

@hookimpl
def imgbake_targets():
    return [Box, Shelf]
'''
BOX = '[targets.box]\nuses = "box"\n'
IMAGE = BOX + '[images.a]\nnote = "a.note"\ntargets = ["box"]\n'


@pytest.fixture(autouse=True)
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin, installed."""
    info = tmp_path / "note_plugin" / "note_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info.parent / "note_plugin.py").write_text(NOTE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: note_plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[imgbake]\nnote = note_plugin\nbox = note_plugin\nshelf = note_plugin\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.delitem(sys.modules, "note_plugin", raising=False)
    importlib.invalidate_caches()


def outcome(project: Project, *args: str) -> str:
    return project.build(*args).outcomes()["image:a@box"]


def test_what_the_file_names_decides_and_nothing_else(project: Project) -> None:
    project.recipe(IMAGE)
    project.write("a.note", "copy x.txt\n")
    project.write("x.txt", "1")
    project.write("y.txt", "1")
    assert outcome(project) == "ran"
    project.write("y.txt", "2")
    assert outcome(project) == "cached"
    project.write("x.txt", "2")
    assert "x.txt changed" in project.run("explain", "a").stdout
    assert outcome(project) == "ran"
    (project.root / "x.txt").chmod(0o600)
    assert outcome(project) == "ran"


@pytest.mark.parametrize("kind", ["box", "shelf"])
def test_a_build_that_left_nothing_to_do_is_settled(project: Project, kind: str) -> None:
    project.recipe(IMAGE.replace('uses = "box"', f'uses = "{kind}"'))
    project.write("a.note", "copy x.txt\n")
    project.write("x.txt", "1")
    for _ in range(3):
        time.sleep(0.1)  # what is younger than a tick of the file system's clock proves nothing
        last = project.run("build", "a")
    assert "nothing to do: 1 cached" in last.stderr
    project.write("x.txt", "2")
    assert "x.txt changed" in project.run("build", "a").stderr


def test_a_settled_build_asks_for_what_is_kept_elsewhere(project: Project) -> None:
    project.recipe(IMAGE.replace('uses = "box"', 'uses = "shelf"'))
    project.write("a.note", "copy x.txt\n")
    project.write("x.txt", "1")
    for _ in range(3):
        time.sleep(0.1)
        project.run("build", "a")
    (project.root.parent / "shelf").unlink()
    ran = project.run("build", "a")
    assert "nothing to do" not in ran.stderr and "what it made is gone" in ran.stderr
    assert (project.root.parent / "shelf").exists()


def test_a_missing_argument_is_listed_and_can_be_given(project: Project) -> None:
    project.recipe(IMAGE)
    project.write("a.note", "need FOO\nneed BAR\n")
    ran = project.run("build", "--no-input")
    assert ran.code == 2
    assert (
        "missing argument 'FOO' (a word, a.note:1), which image:a@box needs: give --arg FOO=VALUE"
        in ran.stderr
    )
    assert "missing argument 'BAR'" in ran.stderr
    assert "needs: FOO, BAR" in project.run("list").stdout
    assert outcome(project, "--arg", "FOO=1", "--arg", "BAR=2") == "ran"
    assert outcome(project, "--arg", "FOO=1", "--arg", "BAR=2", "--save") == "cached"
    assert outcome(project) == "cached"
    assert outcome(project, "--arg", "FOO=3") == "ran"


def test_the_table_and_arguments_of_the_recipe_give_values_too(project: Project) -> None:
    project.recipe('[args]\nBAR = "1"\n' + IMAGE + 'words = { FOO = "{{ BAR }}" }\n')
    project.write("a.note", "need FOO\nneed BAR\n")
    assert outcome(project) == "ran"
    assert outcome(project, "--arg", "BAR=2") == "ran"
    assert "arg FOO" in project.run("explain", "a").stdout


def test_an_argument_that_no_file_has_is_refused(project: Project) -> None:
    project.recipe(IMAGE)
    project.write("a.note", "need FOO\n")
    ran = project.run("build", "--arg", "FO=1")
    assert ran.code == 2
    assert "--arg FO: the recipe has no such argument" in ran.stderr and "did you mean 'FOO'?" in ran.stderr


def test_tasks_that_write_what_it_reads_come_first(project: Project) -> None:
    project.recipe(
        IMAGE + 'needs = ["other"]\n[tasks.x]\nrun = "echo 1 > x.txt"\noutputs = ["x.txt"]\n'
        '[tasks.other]\nrun = "true"\ninputs = ["a.note"]\n[tasks.not]\nrun = "echo > z"\noutputs = ["z"]\n'
    )
    project.write("a.note", "copy x.txt\n")
    assert project.build().outcomes() == {"task:x": "ran", "task:other": "ran", "image:a@box": "ran"}
    assert outcome(project) == "cached"


def test_a_file_that_a_task_writes_can_describe_an_image(project: Project) -> None:
    task = '[tasks.note]\nrun = "echo copy x.txt > a.note"\noutputs = ["a.note"]\n'
    project.recipe(IMAGE + task)
    project.write("x.txt", "1")
    assert project.build().outcomes() == {"task:note": "ran", "image:a@box": "ran"}


def test_a_wrong_file_harms_no_other_image(project: Project) -> None:
    project.recipe(IMAGE + '[images.b]\nnote = "b.note"\ntargets = ["box"]\n')
    project.write("a.note", "copy x.txt\n")
    project.write("x.txt")
    project.write("b.note", "copy x.txt\nburn x.txt\n")
    ran = project.run("build", "-k")
    assert ran.code == 1
    assert "b.note:2:1: nobody knows what to burn" in ran.stderr
    assert outcome(project, "a") == "cached"
    assert "b.note:2:1" in project.run("plan").stdout


def test_bases_are_resolved_and_decide(project: Project) -> None:
    project.recipe(IMAGE + '[images.base]\nbase = "scratch"\nlabels = { v = "1" }\n')
    project.write("a.note", "from scratch\n")
    assert outcome(project, "a") == "ran"
    assert outcome(project, "a") == "cached"


def test_the_plan_shows_what_is_sent(project: Project) -> None:
    project.recipe(IMAGE)
    project.write("a.note", "copy x.txt\n")
    project.write("x.txt")
    (step,) = project.run("plan", "--format", "json").json
    assert step["documents"] == {"plan": "copy x.txt"}
    assert project.run("lower", "a").stdout == "copy x.txt\n"


def test_what_images_of_components_have_is_refused(project: Project) -> None:
    project.recipe(BOX + '[images.a]\nnote = "a.note"\nbase = "scratch"\nword = {}\ntargets = ["box"]\n')
    ran = project.run("check")
    assert ran.code == 2
    assert "an image that is a note has no 'base'" in ran.stderr
    assert "did you mean 'words'?" in ran.stderr


def test_the_target_must_take_such_images(project: Project) -> None:
    project.recipe('[images.a]\nnote = "a.note"\n')
    ran = project.run("check")
    assert ran.code == 2
    assert "the target 'oci' can't bake an image that is a note" in ran.stderr
    assert "one that uses box" in ran.stderr


def test_secrets_that_it_names_are_arguments_of_the_recipe(project: Project) -> None:
    project.recipe(IMAGE + 'secrets_of = ["token"]\n')
    project.write("a.note", "")
    assert "there is no secret argument 'token'" in project.run("check").stderr
    project.recipe("[args]\ntoken = { secret = true }\n" + IMAGE + 'secrets_of = ["token"]\n')
    assert "missing argument 'token'" in project.run("build", "--no-input").stderr
    assert outcome(project, "--arg", "token=s3cret") == "ran"
    assert outcome(project, "--arg", "token=0ther") == "cached"
