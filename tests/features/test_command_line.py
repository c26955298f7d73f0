"""The command line itself: what is wrong with it is told once, and what it prints can be pasted."""

from __future__ import annotations

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


def test_the_next_command_after_init_can_be_pasted(project: Project) -> None:
    ran = project.run("init", "my shop")
    assert ran.stdout.splitlines()[-1] == "next: imgbake build -C 'my shop'"
