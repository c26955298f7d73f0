"""A build with nothing to do, asked for in plain words, is answered without loading the command line."""

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


def test_a_change_takes_the_long_way(project: Project) -> None:
    _settle(project)
    project.write("in.txt", "2")
    assert project.make().outcomes() == {"task:a": "ran", "task:b": "ran"}
