"""The command line itself: what is wrong with it is told once, and what it prints can be pasted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from imgbake.testing.project import Project


@pytest.mark.parametrize(("words", "meant"), [(["rnu"], "run"), (["cache", "duu"], "du")])
def test_a_misspelt_command_is_suggested_once(project: Project, words: list[str], meant: str) -> None:
    ran = project.run(*words)
    assert ran.code == 2
    assert ran.stderr.splitlines()[-1] == f"Error: No such command '{words[-1]}'. Did you mean '{meant}'?"


def test_a_recipe_further_up_is_pointed_out(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "true"\n')
    (project.root / "src" / "shop").mkdir(parents=True)
    ran = Project(project.root / "src" / "shop").run("list")
    assert ran.code == 2 and "one is further up: write -C ../.." in ran.stderr
    assert Project(project.root / "src" / "shop").run("list", "-C", "../..").code == 0


@pytest.mark.parametrize("words", ["build", "list", "init", "copy oci:a oci:b", "stream ls"])
def test_a_folder_that_was_removed_is_named_as_what_is_wrong(project: Project, words: str) -> None:
    script = f'mkdir gone && cd gone && rmdir ../gone && "$0" -m imgbake {words}'
    command = ["/bin/sh", "-c", script, sys.executable]
    ran = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    told = "error: the folder that you are in was removed\n  hint: change to one that is there\n"
    assert (ran.returncode, ran.stderr) == (2, told)


def test_a_terminal_of_ascii_is_no_reason_to_fail(project: Project) -> None:
    project.recipe("[tasks.a]\nrun = 'echo grün > grün'\noutputs = ['grün']\n")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out, err = project.start("run", "--format", "json", env=locale).communicate()
    assert json.loads(out)["counts"]["ran"] == 1, err
    assert project.read("grün") == "grün\n"


@pytest.mark.parametrize(("name", "encoding"), [("\udcff", "utf-8:strict"), ("日", "latin-1")])
def test_a_name_that_cannot_be_shown_is_spelled_out(project: Project, name: str, encoding: str) -> None:
    out, err = project.start("init", name, env={"PYTHONIOENCODING": encoding}).communicate()
    assert (out.splitlines()[0], err) == (f"wrote {ascii(name)[1:-1]}/imgbake.toml", "")


@pytest.mark.parametrize("words", [["-f", "other.toml", "check"], ["check", "-f", "other.toml"]])
def test_a_recipe_is_named_before_the_command_or_after_it(project: Project, words: list[str]) -> None:
    project.write("other.toml", '[tasks.a]\nrun = "true"\n')
    assert project.run(*words).stdout.startswith("other.toml: good: 1 task, 0 components")


def test_the_recipe_named_last_is_read(project: Project) -> None:
    project.write("other.toml", '[tasks.a]\nrun = "true"\n')
    assert project.run("-f", "none.toml", "check", "-f", "other.toml").code == 0
    (project.root / "below").mkdir()
    assert Project(project.root / "below").run("-C", "..", "-f", "other.toml", "check").code == 0


@pytest.mark.parametrize("words", [["init", "x"], ["cache", "ls"]])
def test_a_recipe_is_refused_for_a_command_that_reads_none(project: Project, words: list[str]) -> None:
    ran = project.run("-f", "other.toml", *words)
    assert ran.code == 2 and f"-f other.toml: `imgbake {words[0]}` reads no recipe" in ran.stderr


@pytest.mark.parametrize("words", ["stream ls", "copy stream:a oci:out", "ami ls --region eu-west-1", "list"])
def test_a_recipe_that_is_a_pipe_holds_up_no_command(project: Project, words: str) -> None:
    os.mkfifo(project.root / "imgbake.toml")  # whoever opens it waits for somebody who writes
    ran = project.run(*words.split())
    assert ran.code == 2 and "it is not a regular file" in ran.stderr, ran.stderr


def test_the_next_command_after_init_can_be_pasted(project: Project) -> None:
    ran = project.run("init", "my shop")
    assert ran.stdout.splitlines()[-1] == "next: imgbake build -C 'my shop'"


def test_what_init_lower_and_log_print_is_json_for_programs(project: Project) -> None:
    assert project.run("init", ".", "--format", "json").json["written"][0] == "imgbake.toml"
    project.recipe(
        '[tasks.a]\nrun = "echo hello"\n'
        '[components.files]\nfiles = [{ from = "imgbake.toml", to = "/" }]\n'
        '[images.app]\nbase = "scratch"\ncomponents = ["files"]\n'
    )
    project.make("a")
    assert project.run("log", "a", "--format", "json").json == {"node": "task:a", "log": "hello\n"}
    project.build()
    lowered = project.run("lower", "app", "--format", "json").json
    ((title, text),) = lowered["documents"].items()
    assert lowered == {"documents": {title: text}, "beside": {}, "written": []}
    assert project.run("lower", "app").stdout.rstrip() == text.rstrip()
    kept = project.run("lower", "app", "-o", "out", "--format", "json").json
    assert kept["written"] == [f"out/{title}"] and project.read(f"out/{title}") == text


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_a_build_needs_nobody_who_listens(project: Project, closed: str) -> None:
    project.recipe('[tasks.a]\nrun = "echo said; echo made > out"\noutputs = ["out"]\n')
    command = f"exec {sys.executable} -m imgbake run {closed}"
    assert subprocess.run(["/bin/sh", "-c", command], cwd=project.root, check=False).returncode == 0
    assert project.read("out") == "made\n" and "said" in project.run("log", "a").stdout


@pytest.mark.parametrize("word", ["--version", "check", "build"])
def test_output_that_finds_no_room_is_told_once(project: Project, word: str) -> None:
    project.recipe('[images.i]\nbase = "scratch"\n')
    project.build()
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = ["/bin/sh", "-c", f"exec {sys.executable} -m imgbake {word} >/dev/full"]
    ran = subprocess.run(command, cwd=project.root, env=environ, capture_output=True, text=True, check=False)
    told = [line for line in ran.stderr.splitlines() if " cached in " not in line]
    assert (ran.returncode, told) == (1, ["error: No space left on device"])


def test_help_says_what_names_are_and_how_many_jobs_there_are(project: Project) -> None:
    shown = " ".join(project.run("build", "--help").stdout.split())
    assert "What to make; everything when none is named." in shown
    assert "How many nodes run at once. [default: (one for each processor); x>=1]" in shown


def test_no_line_of_the_overview_is_cut(project: Project) -> None:
    lines = [line for words in ([], ["cache"]) for line in project.run(*words, "--help").stdout.splitlines()]
    cut = {line.split()[0] for line in lines if line.startswith("  ") and line.endswith("...")}
    assert not cut, cut
