"""How `from` and `to` meet: what a component copies, and where it stands in the image."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from imgbake.testing.project import Project
from imgbake_oci.tests.baked import baked, layer_of


def _refused(project: Project, files: str) -> str:
    """What a build of this copy prints, which must fail properly."""
    project.recipe(
        f'[components.app]\nfiles = [{files}]\n[images.app]\nbase = "scratch"\ncomponents = ["app"]\n'
    )
    ran = project.run("build", "--progress", "plain")
    assert ran.code in (1, 2) and "Traceback" not in ran.stderr, ran.stderr
    return ran.stderr


PLACES = {
    "a file becomes the path": ('from = "conf/app.toml", to = "/etc/shop.toml"', {"etc/shop.toml"}),
    "a file keeps its name in a folder": ('from = "conf/app.toml", to = "/etc/"', {"etc/app.toml"}),
    "a file to the root": ('from = "conf/app.toml", to = "/"', {"app.toml"}),
    "a folder's content": ('from = "static", to = "/srv/www"', {"srv/www/index.html", "srv/www/css/a.css"}),
    "a folder to a folder": ('from = "static/", to = "/srv/"', {"srv/index.html", "srv/css/a.css"}),
    "a folder to the root": ('from = "static", to = "/"', {"index.html", "css/a.css"}),
    "a glob from its fixed part": ('from = "static/**/*.css", to = "/w"', {"w/css/a.css"}),
    "a glob of one folder": ('from = "conf/*.toml", to = "/etc/app"', {"etc/app/app.toml"}),
    "a glob of folders": ('from = "s*/", to = "/all"', {"all/static/index.html", "all/static/css/a.css"}),
    "a pattern in the middle": ('from = "static/*/a.css", to = "/w"', {"w/css/a.css"}),
    "without what is excluded": (
        'from = "static", to = "/w", exclude = ["static/css"]', {"w/index.html"}
    ),
    "without what a glob excludes": (
        'from = "static", to = "/w", exclude = ["**/*.html"]', {"w/css/a.css"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PLACES))
def test_where_files_go(project: Project, name: str) -> None:
    project.write("conf/app.toml", "x")
    project.write("static/index.html", "x")
    project.write("static/css/a.css", "x")
    copy, expected = PLACES[name]
    assert set(layer_of(project, f"{{ {copy} }}").files()) == expected


def test_the_whole_project_without_its_private_folders(project: Project) -> None:
    project.write(".git/config", "x")
    project.write(".env", "x")
    project.write("src/app.py", "x")
    files = set(layer_of(project, '{ from = ".", to = "/app" }').files())
    assert files == {"app/.env", "app/src/app.py", "app/imgbake.toml"}
    assert project.build().outcomes() == {"base:scratch": "cached", "image:app@oci": "cached"}


def test_empty_folders_are_copied(project: Project) -> None:
    (project.root / "data/empty/deep").mkdir(parents=True)
    members = layer_of(project, '{ from = "data", to = "/srv" }').members()
    assert [name for name, member in members.items() if member.isdir()] == [
        "srv", "srv/empty", "srv/empty/deep"
    ]  # fmt: skip


def test_a_folder_with_nothing_in_it_is_an_error(project: Project) -> None:
    (project.root / "void").mkdir()
    assert "'void' matches no file" in _refused(project, '{ from = "void", to = "/var/lib/app" }')


def test_links_stay_links(project: Project) -> None:
    project.write("bin/tool-1.2", "#!")
    (project.root / "bin/tool").symlink_to("tool-1.2")
    (project.root / "bin/nowhere").symlink_to("/no/such/thing")
    (project.root / "lib").mkdir()
    (project.root / "bin/folder").symlink_to("../lib")
    members = layer_of(project, '{ from = "bin", to = "/usr/bin" }').members()
    links = {name: member.linkname for name, member in members.items() if member.issym()}
    assert links == {
        "usr/bin/tool": "tool-1.2", "usr/bin/nowhere": "/no/such/thing", "usr/bin/folder": "../lib"
    }  # fmt: skip


def test_a_single_symlink_is_copied_as_it_is(project: Project) -> None:
    project.write("tool-1.2", "#!")
    (project.root / "tool").symlink_to("tool-1.2")
    members = layer_of(project, '{ from = "tool", to = "/usr/bin/tool" }').members()
    assert members["usr/bin/tool"].linkname == "tool-1.2"


def test_hard_links_stay_one_file(project: Project) -> None:
    project.write("data/b/first", "content")
    os.link(project.root / "data/b/first", project.root / "data/b/second")
    (project.root / "data/a").mkdir()
    os.link(project.root / "data/b/first", project.root / "data/a/third")
    image = layer_of(project, '{ from = "data", to = "/srv/d" }')
    members = image.members()
    assert members["srv/d/a/third"].isreg()
    assert {members[name].linkname for name in ("srv/d/b/first", "srv/d/b/second")} == {"srv/d/a/third"}
    assert set(image.files().values()) == {"content"}


def test_a_hard_link_to_what_is_not_copied_is_a_file(project: Project) -> None:
    project.write("data/a", "content")
    for name in ("data/b", "data/c", "other"):
        os.link(project.root / "data/a", project.root / name)
    image = layer_of(project, '{ from = "data", to = "/d", exclude = ["data/a"] }')
    assert image.files() == {"d/b": "content", "d/c": "content"}
    assert image.members()["d/b"].isreg() and image.members()["d/c"].linkname == "d/b"


def test_hard_links_over_two_copies_are_files_of_their_own(project: Project) -> None:
    project.write("a", "content")
    os.link(project.root / "a", project.root / "b")
    image = layer_of(project, '{ from = "a", to = "/x/a" }, { from = "b", to = "/y/b" }')
    assert all(member.isreg() for name, member in image.members().items() if "/" in name)


def test_permissions_are_the_owners_x_bit_and_the_special_ones(project: Project) -> None:
    modes = {"plain": 0o600, "run": 0o700, "all": 0o666, "suid": 0o4711, "sgid": 0o2755}
    for name, mode in modes.items():
        project.write(f"bin/{name}", "x").chmod(mode)
    (project.root / "bin/spool").mkdir()
    (project.root / "bin/spool").chmod(0o1777)
    members = layer_of(project, '{ from = "bin", to = "/b" }').members()
    found = {name: member.mode for name, member in members.items()}
    assert found == {
        "b": 0o755, "b/plain": 0o644, "b/run": 0o755, "b/all": 0o644,
        "b/suid": 0o4755, "b/sgid": 0o2755, "b/spool": 0o1755,
    }  # fmt: skip


def test_mode_and_owner_are_those_of_the_recipe(project: Project) -> None:
    project.write("conf/a/b.toml", "x").chmod(0o755)
    (project.root / "conf/link").symlink_to("a")
    members = layer_of(
        project, '{ from = "conf", to = "/etc/app", mode = "0640", owner = "1000:2000" }'
    ).members()
    found = {name: (member.mode, member.uid, member.gid) for name, member in members.items()}
    assert found == {
        "etc": (0o755, 0, 0),
        "etc/app": (0o755, 1000, 2000),
        "etc/app/a": (0o750, 1000, 2000),
        "etc/app/a/b.toml": (0o640, 1000, 2000),
        "etc/app/link": (0o777, 1000, 2000),
    }


def test_a_later_copy_overwrites_an_earlier_one(project: Project) -> None:
    project.write("one/a", "1")
    project.write("one/b", "1")
    project.write("two/b", "2")
    copies = ['{ from = "one", to = "/d" }', '{ from = "two", to = "/d" }']
    assert layer_of(project, ", ".join(copies)).files() == {"d/a": "1", "d/b": "2"}
    assert layer_of(project, ", ".join(reversed(copies))).files() == {"d/a": "1", "d/b": "1"}


def test_a_file_over_a_hard_link_leaves_the_others_whole(project: Project) -> None:
    project.write("one/a", "1")
    os.link(project.root / "one/a", project.root / "one/b")
    project.write("two", "2")
    files = layer_of(project, '{ from = "one", to = "/d" }, { from = "two", to = "/d/a" }').files()
    assert files == {"d/a": "2", "d/b": "1"}


def test_a_file_and_a_folder_of_one_name_are_an_error(project: Project) -> None:
    project.write("file", "x")
    project.write("folder/x", "x")
    output = _refused(project, '{ from = "file", to = "/opt/it" }, { from = "folder", to = "/opt/it" }')
    assert "component 'app'" in output and "/opt/it" in output and "'file'" in output and "'folder" in output
    output = _refused(project, '{ from = "folder", to = "/opt/it" }, { from = "file", to = "/opt/it" }')
    assert "/opt/it is a folder" in output


def test_names_that_mean_deletion_are_refused(project: Project) -> None:
    project.write("data/.wh.secret", "x")
    assert "names that start with .wh. mean deletion" in _refused(project, '{ from = "data", to = "/d" }')


@pytest.mark.parametrize("source", ["nothing", "nothing/**", "no*.txt", "data/missing.txt"])
def test_a_source_that_is_not_there_is_an_error(project: Project, source: str) -> None:
    project.write("data/x", "x")
    output = _refused(project, f'{{ from = "{source}", to = "/d/" }}')
    assert f"component 'app': '{source}' matches no file" in output and "hint:" in output


@pytest.mark.parametrize("source", ["../up", "/etc/passwd", "a/../../b"])
def test_a_source_outside_the_project_is_an_error_of_the_recipe(project: Project, source: str) -> None:
    output = _refused(project, f'{{ from = "{source}", to = "/d/" }}')
    assert "imgbake.toml:2:" in output and source in output


def test_a_pipe_is_refused(project: Project) -> None:
    project.write("data/x", "x")
    os.mkfifo(project.root / "data/pipe")
    assert "data/pipe is not a file, a folder or a link" in _refused(project, '{ from = "data", to = "/d" }')


def test_a_name_that_is_no_utf8_is_refused(project: Project) -> None:
    (project.root / "data").mkdir()
    Path(os.fsdecode(os.fsencode(project.root) + b"/data/\xff")).write_text("x")
    assert "is not UTF-8" in _refused(project, '{ from = "data", to = "/d" }')


def test_unusual_names_are_kept(project: Project) -> None:
    deep = "/".join(["a very long name of a folder indeed" * 3] * 4)
    names = ["grün/Ωmega", "new\nline", " space ", "-dash", "back\\slash", "quo'te", f"{deep}/x", "n" * 255]
    for name in names:
        project.write(f"data/{name}", name)
    assert layer_of(project, '{ from = "data", to = "/d" }').files() == {f"d/{name}": name for name in names}


TASK = """
[tasks.make]
run = "mkdir -p out/deep; echo 1 > out/a.bin; echo 2 > out/deep/b.bin; echo 3 > tool; ln -f tool tool2"
outputs = [{outputs}]

[components.app]
files = [{{ from = "{source}", to = "{to}"{more} }}]

[images.app]
base = "scratch"
components = ["app"]
"""
TASKS = {
    "one file becomes the path": ('"tool"', "task:make", "/usr/bin/t", "", {"usr/bin/t"}),
    "one file into a folder": ('"tool"', "task:make", "/usr/bin/", "", {"usr/bin/tool"}),
    "several files": ('"tool", "out/a.bin"', "task:make", "/o", "", {"o/tool", "o/a.bin"}),
    "a folder": ('"out"', "task:make", "/o", "", {"o/a.bin", "o/deep/b.bin"}),
    "a glob": ('"out/**/*.bin"', "task:make", "/o/", "", {"o/a.bin", "o/deep/b.bin"}),
    "a glob and a file": ('"out/*.bin", "tool"', "task:make", "/o", "", {"o/a.bin", "o/tool"}),
    "without what is excluded": ('"out"', "task:make", "/o", ', exclude = ["out/deep"]', {"o/a.bin"}),
    "without what a glob excludes": (
        '"out"',
        "task:make",
        "/o",
        ', exclude = ["**/a.bin"]',
        {"o/deep/b.bin"},
    ),
    "by a path": ('"out/a.bin"', "out/a.bin", "/o/x", "", {"o/x"}),
    "by a path in an output": ('"out"', "out/deep", "/o", "", {"o/b.bin"}),
    "by a glob over outputs": ('"out"', "out/**/b*", "/o", "", {"o/deep/b.bin"}),
}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_what_a_task_made_is_copied(project: Project, name: str) -> None:
    outputs, source, to, more, expected = TASKS[name]
    project.recipe(TASK.format(outputs=outputs, source=source, to=to, more=more))
    outcomes = project.build().outcomes()
    assert outcomes == {"base:scratch": "cached", "task:make": "ran", "image:app@oci": "ran"}
    assert set(baked(project).files()) == expected


def test_hard_links_of_a_task_are_kept_and_rebased(project: Project) -> None:
    project.recipe(TASK.format(outputs='"tool", "tool2"', source="task:make", to="/opt/", more=""))
    project.build()
    assert baked(project).files() == {"opt/tool": "3\n", "opt/tool2": "3\n"}
    assert baked(project).members()["opt/tool2"].islnk()


def test_a_hard_link_of_a_task_to_what_is_excluded_is_a_file(project: Project) -> None:
    more = ', exclude = ["tool"]'
    project.recipe(TASK.format(outputs='"tool", "tool2"', source="task:make", to="/opt/", more=more))
    project.build()
    assert baked(project).files() == {"opt/tool2": "3\n"}


def test_two_outputs_that_would_become_one_file_are_an_error(project: Project) -> None:
    project.recipe(
        '[tasks.make]\nrun = "mkdir -p a b; echo 1 > a/x; echo 2 > b/x"\noutputs = ["a/x", "b/x"]\n'
        '[components.app]\nfiles = [{ from = "task:make", to = "/o" }]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["app"]\n'
    )
    ran = project.run("build")
    assert ran.code == 1
    assert "component 'app': 'a/x' and 'b/x' would both become 'x' in /o" in ran.stderr


def test_outputs_are_copied_although_they_are_restored(project: Project) -> None:
    recipe = TASK.format(outputs='"out"', source="task:make", to="/o", more="")
    project.recipe(recipe.replace("outputs", 'inputs = ["in"]\noutputs', 1))
    project.write("in", "x")
    project.build()
    before = baked(project).root
    (project.root / "out/a.bin").unlink()
    assert project.build().outcomes()["task:make"] == "restored"
    assert baked(project).root == before


def test_an_unused_file_of_a_task_rebuilds_no_image(project: Project) -> None:
    recipe = TASK.format(outputs='"out", "log"', source="out/a.bin", to="/o/a", more="")
    project.recipe(recipe.replace("mkdir", "echo 1 > log; mkdir"))
    project.build()
    project.recipe(recipe.replace("mkdir", "echo 2 > log; mkdir"))
    assert project.build().outcomes() == {
        "base:scratch": "cached", "task:make": "ran", "image:app@oci": "cached"
    }  # fmt: skip


def test_a_task_without_outputs_has_nothing_to_copy(project: Project) -> None:
    project.write("x", "x")
    project.recipe(
        '[tasks.check]\nrun = "true"\ninputs = ["x"]\n'
        '[components.app]\nfiles = [{ from = "task:check", to = "/o" }]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["app"]\n'
    )
    ran = project.run("build")
    assert ran.code in (1, 2) and "task 'check' has no outputs to copy" in ran.stderr


def test_what_cannot_be_read_is_an_error(project: Project) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    project.write("secret", "x").chmod(0)
    assert "secret" in _refused(project, '{ from = "secret", to = "/d/" }')


def test_a_changed_mode_rebuilds_and_a_touch_does_not(project: Project) -> None:
    path = project.write("tool", "#!")
    layer_of(project, '{ from = "tool", to = "/t" }')
    os.utime(path, (1, 1))
    path.chmod(0o600)
    assert project.build().outcomes()["image:app@oci"] == "cached"
    path.chmod(stat.S_IMODE(0o755))
    assert project.build().outcomes()["image:app@oci"] == "ran"
    assert baked(project).members()["t"].mode == 0o755
