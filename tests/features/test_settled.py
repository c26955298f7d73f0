"""However a project is changed between two runs, the second leaves the outputs that the inputs ask for."""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.testing.project import Project

RECIPE = """
[args]
sign = "!"

[tasks.join]
run = "cat src/*.txt > join.txt; printf %s '{{ sign }}' >> join.txt"
inputs = ["src/*.txt"]
outputs = ["join.txt"]

[tasks.upper]
run = "tr a-z A-Z < join.txt > out/upper.txt; printf %s \\"$SUFFIX\\" >> out/upper.txt"
pass_env = ["SUFFIX"]
inputs = ["join.txt"]
outputs = ["out/upper.txt"]
"""
ACTIONS = ["write", "rewrite the same", "touch", "add", "remove", "spoil", "lose", "argument", "variable"]
ACTIONS += ["lose all state", "swap", "write", "nothing"]


def _act(project: Project, action: str, rng: random.Random, world: dict[str, str]) -> None:
    sources = sorted((project.root / "src").iterdir())
    chosen = rng.choice(sources)
    match action:
        case "write":
            chosen.write_text(rng.choice("abc"))
        case "rewrite the same":
            chosen.write_text(chosen.read_text())
        case "touch":
            os.utime(chosen, (1, 1))
        case "add":
            project.write(f"src/{rng.randrange(5)}.txt", rng.choice("xyz"))
        case "remove" if len(sources) > 1:
            chosen.unlink()
        case "spoil":
            project.write(rng.choice(["join.txt", "out/upper.txt"]), "spoilt")
        case "lose":
            (project.root / rng.choice(["join.txt", "out/upper.txt"])).unlink(missing_ok=True)
        case "argument":
            world["sign"] = rng.choice("!?")
        case "variable":
            world["suffix"] = rng.choice(["", "1", "2"])
        case "lose all state":
            shutil.rmtree(project.root / ".imgbake", ignore_errors=True)
        case "swap" if len(sources) > 1:
            sources[0].rename(project.root / "spare")
            sources[1].rename(sources[0])
            (project.root / "spare").rename(sources[1])


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(ACTIONS), min_size=3, max_size=12), seed=st.integers(0, 1 << 30))
def test_outputs_follow_inputs_whatever_happened_between_runs(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str], seed: int
) -> None:
    _play(Project(tmp_path_factory.mktemp("project")), actions, random.Random(seed))


def test_outputs_follow_inputs_through_every_action(project: Project) -> None:
    _play(project, [*ACTIONS, *reversed(ACTIONS)], random.Random(7))


def _play(project: Project, actions: list[str], rng: random.Random) -> None:
    project.recipe(RECIPE)
    project.write("src/0.txt", "a")
    project.write("src/1.txt", "b")
    world = {"sign": "!", "suffix": ""}
    for action in actions:
        _act(project, action, rng, world)
        project.make("--arg", f"sign={world['sign']}", env={"SUFFIX": world["suffix"]})
        joined = (
            "".join(path.read_text() for path in sorted((project.root / "src").iterdir())) + world["sign"]
        )
        assert project.read("join.txt") == joined
        assert project.read("out/upper.txt") == joined.upper() + world["suffix"]


def test_an_output_that_is_lost_comes_back_however_often(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "cat in > out"\ninputs = ["in"]\noutputs = ["out"]\n')
    project.write("in", "1")
    time.sleep(0.1)  # until then what was written proves nothing
    for _ in range(4):
        project.make()
        assert project.read("out") == "1"
        (project.root / "out").unlink()


def test_the_plainest_command_gives_the_same_answer_without_typer(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "cat in > out"\ninputs = ["in"]\noutputs = ["out"]\n')
    project.write("in", "1")
    os.utime(project.root / "in", (1, 1))
    for _ in range(3):
        project.run("run")
    assert "nothing to do" in project.run("run").stderr or "cached" in project.run("run").stderr
    project.write("in", "2")
    assert project.run("run").code == 0
    assert project.read("out") == "2"


def test_a_recipe_that_is_edited_while_it_is_built_is_built_again(project: Project) -> None:
    recipe = """
    [tasks.a]
    run = "echo WORD > out; touch started; while [ ! -e go ]; do sleep 0.02; done"
    outputs = ["out"]
    """
    project.recipe(recipe.replace("WORD", "one"))
    time.sleep(0.1)  # until then what was written proves nothing
    building = project.start("run")
    project.wait_for("started")
    project.recipe(recipe.replace("WORD", "two"))
    time.sleep(0.1)
    project.write("go")
    assert building.communicate()[1].startswith("task:a: runs: never built") and building.returncode == 0
    project.make()
    assert project.read("out") == "two\n"


def test_saved_arguments_that_are_removed_during_a_build_are_noticed(project: Project) -> None:
    project.recipe(
        """
    [args]
    word = "one"
    [tasks.a]
    run = "echo {{ word }} > out; touch started; while [ ! -e go ]; do sleep 0.02; done"
    inputs = ["in"]
    """
    )
    project.write("in", "")
    project.write(".imgbake/args.toml", 'word = "two"\n')
    time.sleep(0.1)  # until then what was written proves nothing
    building = project.start("run", env={"PYTHONSAFEPATH": "1"})  # or the folder would count, too
    project.wait_for("started")
    (project.root / ".imgbake/args.toml").unlink()
    project.write("go")
    assert (
        building.communicate()[1].startswith("task:a: runs: never built") and project.read("out") == "two\n"
    )
    project.make()
    assert project.read("out") == "one\n"


def test_a_new_file_that_the_recipe_includes_is_noticed(project: Project) -> None:
    project.recipe('include = ["*/tasks.toml"]\n[tasks.a]\nrun = "echo > a"\noutputs = ["a"]\n')
    project.write("one/tasks.toml", '[tasks.b]\nrun = "echo > b"\noutputs = ["b"]\n')
    (project.root / "two").mkdir()
    project.write(".imgbake/tasks.toml", "what we keep there is none of it")
    for _ in range(2):
        project.make()
        time.sleep(0.1)  # until then what was written proves nothing
    assert "nothing to do" in project.make().stderr
    project.write("two/tasks.toml", '[tasks.c]\nrun = "echo > c"\noutputs = ["c"]\n')
    assert project.make().outcomes()["task:c"] == "ran"
