"""imgbake as a Make: what runs, what does not, and what is put back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imgbake.testing.project import Project

CHAIN = """
[tasks.upper]
run = "tr a-z A-Z < in.txt > upper.txt; echo x >> upper.runs"
inputs = ["in.txt"]
outputs = ["upper.txt"]

[tasks.count]
run = "wc -c < upper.txt > count.txt; echo x >> count.runs"
inputs = ["upper.txt"]
outputs = ["count.txt"]
"""


def _chain(project: Project) -> None:
    project.recipe(CHAIN)
    project.write("in.txt", "hello\n")


def test_a_task_runs_once_and_again_when_an_input_changed(project: Project) -> None:
    _chain(project)
    assert project.make().outcomes() == {"task:upper": "ran", "task:count": "ran"}
    assert project.make().outcomes() == {"task:upper": "cached", "task:count": "cached"}
    project.write("in.txt", "hello you\n")
    assert project.make().outcomes() == {"task:upper": "ran", "task:count": "ran"}
    assert project.read("count.txt").strip() == "10"


def test_a_file_that_was_only_touched_runs_nothing(project: Project) -> None:
    _chain(project)
    project.make()
    os.utime(project.root / "in.txt", (1, 1))
    assert set(project.make().outcomes().values()) == {"cached"}


def test_equal_output_stops_the_wave(project: Project) -> None:
    _chain(project)
    project.make()
    project.write("in.txt", "HELLO\n")
    assert project.make().outcomes() == {"task:upper": "ran", "task:count": "cached"}


def test_an_output_that_was_removed_or_changed_is_put_back_from_the_store(project: Project) -> None:
    _chain(project)
    project.make()
    (project.root / "upper.txt").unlink()
    project.write("count.txt", "wrong")
    assert project.make().outcomes() == {"task:upper": "restored", "task:count": "restored"}
    assert (project.read("upper.txt"), project.read("upper.runs")) == ("HELLO\n", "x\n")


def test_going_back_to_an_earlier_input_runs_nothing(project: Project) -> None:
    _chain(project)
    project.make()
    project.write("in.txt", "something else\n")
    project.make()
    project.write("in.txt", "hello\n")
    assert project.make().outcomes() == {"task:upper": "restored", "task:count": "restored"}
    assert project.read("upper.txt") == "HELLO\n"


def test_outputs_that_are_not_stored_are_made_again(project: Project) -> None:
    project.recipe(
        '[tasks.big]\nrun = "cp in.txt big"\ninputs = ["in.txt"]\noutputs = ["big"]\nstore = false\n'
    )
    project.write("in.txt", "x")
    project.make()
    (project.root / "big").unlink()
    assert project.make().outcomes() == {"task:big": "ran"}


def test_a_task_that_names_no_inputs_is_made_again_when_its_output_is_gone(project: Project) -> None:
    project.recipe('[tasks.stamp]\nrun = "date +%N > stamp"\noutputs = ["stamp"]\n')
    project.make()
    assert project.make().outcomes() == {"task:stamp": "cached"}
    (project.root / "stamp").unlink()
    assert project.make().outcomes() == {"task:stamp": "ran"}


def test_a_task_without_inputs_and_outputs_always_runs(project: Project) -> None:
    project.recipe('[tasks.hello]\nrun = "echo hello"\n')
    for _ in range(2):
        ran = project.make()
        assert ran.outcomes() == {"task:hello": "ran"} and "task:hello | hello" in ran.stderr


def test_a_check_with_inputs_runs_when_they_change(project: Project) -> None:
    project.recipe('[tasks.lint]\nrun = "grep -q good src.txt"\ninputs = ["src.txt"]\n')
    project.write("src.txt", "good")
    assert project.make().outcomes() == {"task:lint": "ran"}
    assert project.make().outcomes() == {"task:lint": "cached"}
    project.write("src.txt", "bad")
    assert project.run("run").code == 1


def test_new_and_removed_files_of_a_glob_are_noticed(project: Project) -> None:
    project.recipe(
        '[tasks.all]\nrun = "find src -type f > all"\ninputs = ["src/**/*.txt"]\noutputs = ["all"]\n'
    )
    project.write("src/a.txt", "a")
    project.make()
    project.write("src/deep/b.txt", "b")
    assert "src/deep/b.txt added" in project.make().stderr
    (project.root / "src/deep/b.txt").unlink()
    assert project.make().outcomes() == {"task:all": "restored"}


def test_an_output_of_last_time_that_a_glob_matches_is_not_taken_for_new(project: Project) -> None:
    project.recipe(
        '[args]\nv = "1"\n'
        '[tasks.wheel]\nrun = "echo {{ v }} > dist/app-{{ v }}.whl"\noutputs = ["dist/*.whl"]\n'
    )
    project.make()
    project.make("--arg", "v=2")
    assert [path.name for path in (project.root / "dist").iterdir()] == ["app-2.whl"]


def test_a_need_without_files_passes_the_change_on(project: Project) -> None:
    project.recipe(
        """
        [tasks.gen]
        run = "cp in.txt gen.txt"
        inputs = ["in.txt"]
        outputs = ["gen.txt"]
        [tasks.use]
        needs = ["gen"]
        run = "cat gen.txt > used"
        outputs = ["used"]
        [tasks.later]
        after = ["gen"]
        run = "echo > later"
        outputs = ["later"]
        """
    )
    project.write("in.txt", "1")
    project.make()
    project.write("in.txt", "2")
    assert project.make().outcomes() == {"task:gen": "ran", "task:use": "ran", "task:later": "cached"}
    assert project.read("used") == "2"


def test_an_input_that_nobody_makes_is_named(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "true"\ninputs = ["nope.txt"]\n')
    ran = project.run("run")
    assert ran.code == 1 and "input 'nope.txt' does not exist, and no task makes it" in ran.stderr


def test_an_output_that_was_not_made_is_named(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "true"\noutputs = ["out.txt"]\n')
    ran = project.run("run")
    assert ran.code == 1 and "did not make its output 'out.txt'" in ran.stderr


def test_an_output_that_leaves_the_project_by_a_symlink_is_refused(project: Project) -> None:
    outside = project.root.parent / "outside"
    outside.mkdir()
    project.recipe(
        f'[tasks.a]\nrun = "rm -r link; ln -s {outside} link; echo x > link/file"\noutputs = ["link/file"]\n'
    )
    ran = project.run("run")
    assert ran.code == 1 and "leads out of the project" in ran.stderr


def test_an_input_that_changes_while_its_task_runs_is_noticed(project: Project) -> None:
    project.recipe(
        '[tasks.a]\nrun = "cp in.txt out; echo more >> in.txt"\ninputs = ["in.txt"]\noutputs = ["out"]\n'
    )
    project.write("in.txt", "x\n")
    ran = project.make()
    assert "in.txt changed while it ran: it will run again" in ran.stderr
    assert project.make().outcomes() == {"task:a": "ran"}


def test_what_an_input_was_for_a_moment_is_not_taken_for_what_it_is(project: Project) -> None:
    """Somebody writes something else into it while its task runs, and then what it was."""
    project.recipe(
        '[tasks.a]\nrun = "[ -e once ] || echo odd >in; cp in out; [ -e once ] || echo x >in; touch once"\n'
        'inputs = ["in"]\noutputs = ["out"]\n'
    )
    project.write("in", "x\n")
    ran = project.make()
    assert "in was written while it ran: it will run once more, to be sure" in ran.stderr
    assert project.read("out") == "odd\n"
    ran = project.make()
    assert "task:a: runs: in was written while it ran" in ran.stderr and project.read("out") == "x\n"
    assert project.make().outcomes() == {"task:a": "cached"}


def test_a_task_that_writes_its_own_input_runs_once_more_and_no_longer(project: Project) -> None:
    project.recipe('[tasks.a]\nrun = "cp in out; cp out in"\ninputs = ["in"]\noutputs = ["out"]\n')
    project.write("in", "x\n")
    found = [project.make().outcomes()["task:a"] for _ in range(3)]
    assert found == ["ran", "ran", "cached"]


def test_an_argument_reaches_the_task_and_is_named_when_it_moved(project: Project) -> None:
    project.recipe('[args]\nv = "1"\n[tasks.a]\nrun = "echo {{ v }} > out"\noutputs = ["out"]\n')
    project.make()
    ran = project.make("--arg", "v=2")
    assert project.read("out") == "2\n" and "arg v changed: 1 -> 2" in ran.stderr


def test_a_dry_run_and_a_plan_leave_no_trace(project: Project) -> None:
    _chain(project)
    for command in (["run", "-n"], ["plan", "upper", "count"], ["list"], ["explain", "count"], ["graph"]):
        assert project.run(*command).code == 0
    assert sorted(path.name for path in project.root.iterdir()) == ["imgbake.toml", "in.txt"]


def test_force_runs_everything(project: Project) -> None:
    _chain(project)
    project.make()
    assert set(project.make("-B").outcomes().values()) == {"ran"}


def test_only_the_named_task_and_what_it_needs_runs(project: Project) -> None:
    _chain(project)
    assert project.make("upper").outcomes() == {"task:upper": "ran"}


def test_two_projects_with_one_recipe_do_not_share_what_names_no_inputs(project: Project) -> None:
    text = '[tasks.a]\nrun = "cat secret-of-this-folder > out"\noutputs = ["out"]\n'
    other = Project(project.root.parent / "other")
    other.root.mkdir()
    for each in (project, other):
        each.recipe(text)
        each.write("secret-of-this-folder", each.root.name)
        assert each.make().outcomes() == {"task:a": "ran"}
    assert other.read("out") == "other"


def test_modes_symlinks_and_long_names_of_outputs_are_kept(project: Project) -> None:
    longest = 255 * "n"
    project.recipe(
        f'[tasks.a]\nrun = "mkdir -p d/e; cp in.txt d/x; chmod +x d/x; ln -s x d/l; cp in.txt d/{longest}"\n'
        'inputs = ["in.txt"]\noutputs = ["d"]\n'
    )
    project.write("in.txt", "#!")
    project.make()
    shutil.rmtree(project.root / "d")
    assert project.make().outcomes() == {"task:a": "restored"}
    assert os.access(project.root / "d/x", os.X_OK) and (project.root / "d/l").readlink() == Path("x")
    assert (project.root / "d/e").is_dir() and project.read(f"d/{longest}") == "#!"


def test_going_back_runs_what_makes_no_files_again(project: Project) -> None:
    project.recipe('[tasks.ship]\nrun = "cp site live"\ninputs = ["site"]\n')
    for content in ("one", "two", "one"):
        project.write("site", content)
        assert project.make().outcomes() == {"task:ship": "ran"}
        assert project.read("live") == content
