"""A build that is asked for in plain words is done without loading what parses command lines."""

from __future__ import annotations

import subprocess
import sys
import time

from imgbake.testing.project import Project

RECIPE = """
[tasks.a]
run = "cat in.txt > a.txt"
inputs = ["in.txt"]
outputs = ["a.txt"]

[tasks.b]
run = "cat a.txt > b.txt"
inputs = ["a.txt"]
outputs = ["b.txt"]
"""


def _run(project: Project, *words: str) -> tuple[str, bool]:
    """What it says, and whether Typer was loaded for it."""
    script = "import sys; from imgbake.cli import run; run(sys.argv[1:]); print('typer' in sys.modules)"
    argv = [sys.executable, "-c", script, *words]
    ran = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, check=False)
    return ran.stderr, ran.stdout != "False\n"


def _settle(project: Project, *words: str) -> None:
    project.recipe(RECIPE)
    project.write("in.txt", "1")
    project.make(*words)
    time.sleep(0.1)  # until then the files are too young to prove anything
    project.make(*words)


def test_plain_words_with_nothing_to_do_take_the_shortcut(project: Project) -> None:
    _settle(project)
    said, is_long = _run(project, "run")
    assert said.startswith("nothing to do: 2 cached")
    assert not is_long


def test_names_take_the_shortcut_too(project: Project) -> None:
    _settle(project, "a")
    said, is_long = _run(project, "run", "a")
    assert said.startswith("nothing to do: 1 cached")
    assert not is_long


def test_both_ways_say_the_same(project: Project) -> None:
    _settle(project)
    said, is_long = _run(project, "run", "--no-input")
    assert said.startswith("nothing to do: 2 cached")
    assert is_long


def test_a_change_in_plain_words_needs_no_parser_either(project: Project) -> None:
    _settle(project)
    project.write("in.txt", "2")
    said, is_long = _run(project, "run")
    assert not is_long
    assert "2 ran" in said
    assert project.read("b.txt") == "2"


def test_plain_words_that_are_wrong_are_refused_alike(project: Project) -> None:
    project.recipe(RECIPE)
    for words in (("run", "c"), ("run", "c", "--no-input")):
        ran = project.run(*words)
        assert ran.code == 2
        assert ran.stderr.startswith("error: no task named 'c'")


def test_a_failure_has_its_exit_code_without_the_parser_too(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "exit 3"\n')
    assert [project.run("run").code, project.run("run", "--no-input").code] == [1, 1]
