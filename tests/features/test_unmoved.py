"""Builds after a change look at what the change can reach, and come to the same as if they looked at all."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgbake.testing.project import Project

RECIPE = """
[args]
word = "a"

[tasks.upper]
run = "tr a-z A-Z <in/a >out/upper"
inputs = ["in/a"]
outputs = ["out/upper"]

[tasks.count]
run = "wc -c <out/upper >out/count"
inputs = ["out/upper"]
outputs = ["out/count"]

[tasks.other]
run = "cat in/b >out/other"
inputs = ["in/b"]
outputs = ["out/other"]

[tasks.all]
run = "cat in/* >out/all"
inputs = ["in/*"]
outputs = ["out/all"]

[tasks.said]
run = "echo {{ word }} $WORD | cat - in/b >out/said"
inputs = ["in/b"]
outputs = ["out/said"]
pass_env = ["WORD"]

[tasks.after]
run = "cat in/a >out/after"
inputs = ["in/a"]
outputs = ["out/after"]
needs = ["said"]

[tasks.both]
run = "cat out/count out/other >out/both"
inputs = ["out/count", "out/other"]
outputs = ["out/both"]
needs = ["other"]
"""


def _made(folder: Path) -> Project:
    project = Project(folder)
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    project.recipe(RECIPE)
    project.write("in/a", "one")
    project.write("in/b", "two")
    return project


def _run(project: Project, cache: Path, word: str, variable: str) -> dict[str, str]:
    env = {"IMGBAKE_CACHE_DIR": str(cache), "WORD": variable}
    ran = project.make("-k", "--arg", f"word={word}", env=env)
    return {**ran.outcomes(), **{path.name: path.read_text() for path in (project.root / "out").iterdir()}}


CHANGES: list[Callable[[Project, str], object]] = [
    lambda project, text: project.write("in/a", text),
    lambda project, text: project.write("in/b", text),
    lambda project, text: project.write("in/a", "one"),
    lambda project, text: project.write("in/c", text),
    lambda project, text: (project.root / "in/c").unlink(missing_ok=True),
    lambda project, text: (project.root / "out/upper").unlink(missing_ok=True),
    lambda project, text: (project.root / "out/both").write_text("spoilt"),
    lambda project, text: (project.root / "in/b").touch(),
    lambda project, text: project.recipe(RECIPE.replace("wc -c", f": {text}; wc -c")),
    lambda project, text: project.recipe(RECIPE),
    lambda project, text: (
        (project.root / "in/b").replace(project.root / "in/a") and project.write("in/b", text)
    ),
    lambda project, text: time.sleep(0.1),  # until then what was written proves nothing
]


@pytest.mark.parametrize("seed", range(4))
def test_it_comes_to_the_same_as_looking_at_everything(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    quick, careful = _made(tmp_path / "quick"), _made(tmp_path / "careful")
    for number in range(25):
        for change in chance.sample(CHANGES, chance.randrange(3)):
            for project in (quick, careful):
                change(project, str(number))
        shutil.rmtree(careful.root / ".imgbake/settled", ignore_errors=True)
        said = chance.choice("aaab"), chance.choice("cccd")
        assert _run(quick, tmp_path / "one", *said) == _run(careful, tmp_path / "two", *said)


def test_what_a_change_reaches_is_built_again(project: Project) -> None:
    made = _made(project.root / "sub")
    made.make()
    time.sleep(0.1)
    made.make()
    made.write("in/a", "three")
    outcomes = made.make("both").outcomes() | made.make().outcomes()
    assert outcomes["task:other"] == "cached"
    assert (made.root / "out/upper").read_text() == "THREE"
    assert (made.root / "out/both").read_text() == "5\ntwo"


def test_a_variable_still_counts_when_its_task_was_skipped(project: Project) -> None:
    made = _made(project.root / "sub")
    for text in ("1", "1", "2", "2"):
        time.sleep(0.1)
        if made.read("in/a") != text:
            made.write("in/a", text)
        made.make("said", "upper", env={"WORD": "x"})
    made.make("said", "upper", env={"WORD": "y"})
    assert made.read("out/said") == "a y\ntwo"


def test_a_build_with_other_arguments_in_between_is_noticed(project: Project) -> None:
    made = _made(project.root / "sub")
    for _ in range(2):
        made.make("said", "upper")
        time.sleep(0.1)
    made.make("said", "--arg", "word=b")
    made.write("in/a", "three")
    made.make("said", "upper")
    assert made.read("out/said") == "a\ntwo"
    assert made.read("out/upper") == "THREE"
