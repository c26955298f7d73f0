"""The README begins with the two commands that a newcomer, and CI, will run; and what it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from imgbake.testing.project import Project

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_it_begins_with_the_two_commands() -> None:
    before, first, between, second, *_ = re.split(r"^```(?:sh)?\n", README, flags=re.MULTILINE)
    assert before.split() == ["#", "imgbake"] and not between.strip()
    assert [first, second] == BLOCKS[:2]


def test_the_first_command_installs_and_bakes_an_example() -> None:
    words = shlex.split(BLOCKS[0], comments=True)
    assert words[:3] == ["python3", "-m", "venv"]
    example = ROOT / words[words.index("-C") + 1]
    assert (example / "verify").exists() and words[-1] == "build"


def test_the_second_command_runs_the_tests() -> None:
    assert shlex.split(BLOCKS[1]) == [".venv/bin/python", "-m", "pytest"]


def test_its_recipe_is_right(project: Project) -> None:
    recipe = re.search(r"^```toml imgbake.toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert recipe
    project.recipe(recipe[1])
    ran = project.run("check")
    assert ran.code == 0, ran.stderr


@pytest.mark.parametrize("folder", ["docs", "examples"])
def test_the_folders_that_it_names_are_there(folder: str) -> None:
    assert f"`{folder}/`" in README and (ROOT / folder).is_dir()


def test_it_names_every_example() -> None:
    named = next(line for line in README.splitlines() if line.startswith("| `examples/`"))
    folders = [path.parent.name for path in ROOT.glob("examples/*/imgbake.toml")]
    assert len(folders) == len(named.rpartition("`examples/` |")[2].partition(";")[0].split(", "))
