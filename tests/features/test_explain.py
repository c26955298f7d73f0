"""`explain` and `plan` name the very thing that changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from imgbake.testing.project import Project

RECIPE = """
[args]
level = "1"

[tasks.gen]
run = "cat src/*.txt > gen.txt"
inputs = ["src/*.txt"]
outputs = ["gen.txt"]

[tasks.pack]
run = "echo {{ level }} $(cat gen.txt) > pack.txt"
inputs = ["gen.txt"]
outputs = ["pack.txt"]

[tasks.report]
needs = ["pack"]
run = "echo report > report.txt"
outputs = ["report.txt"]
"""


def _built(project: Project) -> None:
    project.recipe(RECIPE)
    project.write("src/a.txt", "a")
    project.write("src/b.txt", "b")
    project.make()


def _explain(project: Project, *args: str) -> list[str]:
    ran = project.run("explain", *args)
    assert ran.code == 0
    return [line.strip() for line in ran.stdout.splitlines() if "last run" not in line]


def test_a_fresh_node_says_when_and_why_it_last_ran(project: Project) -> None:
    _built(project)
    out = project.run("explain", "gen").stdout
    assert out.startswith("task:gen: fresh\n  last run") and out.rstrip().endswith("never built")


def test_a_changed_an_added_and_a_removed_file_are_named(project: Project) -> None:
    _built(project)
    project.write("src/a.txt", "A")
    project.write("src/c.txt", "c")
    (project.root / "src/b.txt").unlink()
    assert _explain(project, "gen") == [
        "task:gen: stale",
        "src/a.txt changed",
        "src/b.txt removed",
        "src/c.txt added",
    ]


def test_an_argument_is_named_with_both_values(project: Project) -> None:
    _built(project)
    lines = _explain(project, "pack", "--arg", "level=2")
    assert lines[:2] == ["task:pack: stale", "arg level changed: 1 -> 2"]


def test_a_command_that_changed_is_shown_as_a_diff(project: Project) -> None:
    _built(project)
    project.recipe(
        RECIPE.replace('run = "cat src/*.txt > gen.txt"', 'run = """\ncat src/*.txt > gen.txt\ntrue"""')
    )
    assert "option run changed" in _explain(project, "gen")
    assert "+true" in _explain(project, "gen")


def test_a_node_behind_a_stale_one_says_what_runs_first(project: Project) -> None:
    _built(project)
    project.write("src/a.txt", "A")
    assert "task:gen run: src/a.txt changed" in _explain(project, "pack")


def test_a_downstream_node_names_the_outcome_that_moved(project: Project) -> None:
    _built(project)
    project.write("src/a.txt", "A")
    project.make("gen")
    assert _explain(project, "pack") == ["task:pack: stale", "gen.txt changed"]
    project.make("pack")
    assert _explain(project, "report") == ["task:report: stale", "needs task:pack changed"]


def test_an_output_that_is_gone_is_the_reason(project: Project) -> None:
    _built(project)
    (project.root / "gen.txt").unlink()
    assert _explain(project, "gen") == ["task:gen: stale", "its outputs are missing or were changed"]


def test_the_reason_of_the_last_run_is_kept(project: Project) -> None:
    _built(project)
    project.write("src/a.txt", "A")
    project.make()
    assert "src/a.txt changed" in project.run("explain", "gen").stdout


def test_explanations_and_plans_are_json_too(project: Project) -> None:
    _built(project)
    project.write("src/a.txt", "A")
    found = project.run("explain", "gen", "--format", "json").json
    assert (found["state"], found["changes"][0]["text"]) == ("stale", "src/a.txt changed")
    plan = {step["node"]: step["action"] for step in project.run("plan", "report", "--format", "json").json}
    assert plan == {"task:gen": "run", "task:pack": "may run", "task:report": "may run"}


def test_list_shows_every_state(project: Project) -> None:
    project.recipe(
        RECIPE
        + '\n[tasks.new]\nrun = "true"\noutputs = ["n"]\n'
        + '[tasks.ask]\nrun = "echo {{ who }}"\n[args.who]\nhelp = "x"\n'
    )
    project.write("src/a.txt", "a")
    project.make("report")
    project.write("src/a.txt", "b")
    states = {each["node"]: each["state"] for each in project.run("list", "--format", "json").json}
    assert states == {
        "task:gen": "stale", "task:pack": "stale", "task:report": "stale", "task:new": "never built",
        "task:ask": "needs arguments",
    }  # fmt: skip
    assert "needs: who" in project.run("list").stdout


def test_a_changed_tool_is_named(project: Project) -> None:
    one, two = _tool(project, "one/mytool"), _tool(project, "two/mytool")
    (project.root / "bin").mkdir()
    link = project.root / "bin/mytool"
    _lead(link, one)
    project.recipe('[tasks.a]\nrun = "mytool > out"\noutputs = ["out"]\ntools = ["mytool"]\n')
    env = {"PATH": f"{project.root / 'first'}:{link.parent}:{os.environ['PATH']}"}
    for change in (
        lambda: one.write_text("#!/bin/sh\necho changed\n"),
        lambda: _lead(link, two),
        lambda: _tool(project, "first/mytool"),
    ):
        project.make(env=env)
        time.sleep(0.1)  # until then what was written proves nothing
        project.make(env=env)
        assert "nothing to do" in project.make(env=env).stderr
        change()
        assert "tool mytool changed" in project.make(env=env).stderr


def _lead(link: Path, to: Path) -> None:
    """Lets a link lead there."""
    link.unlink(missing_ok=True)
    link.symlink_to(to)


def _tool(project: Project, path: str) -> Path:
    """A program that prints its path."""
    tool = project.write(path, f"#!/bin/sh\necho {path}\n")
    tool.chmod(0o755)
    return tool


def test_a_variable_may_be_any_bytes(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "printenv ODD > out"\noutputs = ["out"]\npass_env = ["ODD"]\n')
    project.make(env={"ODD": os.fsdecode(b"\xff")})
    assert (project.root / "out").read_bytes() == b"\xff\n"
    assert "env ODD changed" in project.make(env={"ODD": os.fsdecode(b"\xfe")}).stderr
