"""`imgbake plan` and `list`: what a build would do, without doing it."""

from __future__ import annotations

from imgbake.testing.project import Project

RECIPE = """
[tasks.first]
run = "cat in.txt >first.txt"
inputs = ["in.txt"]
outputs = ["first.txt"]

[tasks.second]
run = "cat first.txt >second.txt"
inputs = ["first.txt"]
outputs = ["second.txt"]
"""


def _actions(project: Project) -> list[tuple[str, str, list[str]]]:
    ran = project.run("plan", "--format", "json")
    return [(step["node"], step["action"], step["why"]) for step in ran.json]


def test_what_reads_files_that_will_be_restored_may_run(project: Project) -> None:
    project.recipe(RECIPE)
    project.write("in.txt", "a")
    project.make()
    (project.root / "first.txt").unlink()
    gone = "its outputs are missing or were changed"
    assert _actions(project) == [
        ("task:first", "restore", [gone]),
        ("task:second", "may run", ["task:first is restored first"]),
    ]
    assert project.make().outcomes() == {"task:first": "restored", "task:second": "cached"}


def test_an_image_of_files_that_will_be_restored_may_run(project: Project) -> None:
    for source, action in (("first.txt", "may run"), ("task:first", "cached")):  # these are kept by content
        project.recipe(
            f'{RECIPE}[components.c]\nfiles = [{{ from = "{source}", to = "/" }}]\n'
            '[images.i]\nbase = "scratch"\ncomponents = ["c"]\n'
        )
        project.write("in.txt", "a")
        project.build()
        (project.root / "first.txt").unlink()
        assert [each[1] for each in _actions(project)] == ["restore", "cached", action]
        assert project.build().outcomes()["image:i@oci"] == "cached"


def test_what_cannot_be_told_is_counted_and_runs_nowhere_first(project: Project) -> None:
    project.recipe(
        """
        [tasks.a]
        run = "true"
        inputs = ["gone"]

        [tasks.b]
        run = "true"
        inputs = ["lost"]

        [tasks.c]
        run = "true"
        needs = ["a"]
        """
    )
    ran = project.run("plan")
    assert ran.stdout.splitlines()[-1].split(maxsplit=2) == ["may", "run", "task:c  task:a is needed first"]
    assert ran.stderr == "2 errors, 1 may run\n"


def test_what_is_cached_needs_no_reason(project: Project) -> None:
    project.recipe(RECIPE.replace("cat in.txt", "wc -c in.txt"))
    project.write("in.txt", "a")
    project.make()
    project.write("in.txt", "b")
    project.make()
    project.write("in.txt", "a")
    assert _actions(project) == [("task:first", "cached", []), ("task:second", "cached", [])]


def test_what_only_images_can_do_means_the_image_of_that_name(project: Project) -> None:
    project.recipe(
        """
        [tasks.app]
        run = "echo app >app.txt"
        outputs = ["app.txt"]

        [tasks.other]
        run = "true"

        [components.app]
        files = [{ from = "task:app", to = "/" }]

        [images.app]
        base = "scratch"
        components = ["app"]
        """
    )
    assert ("base:scratch", "cached", []) in _actions(project)
    project.build()
    assert "task:app" not in project.run("lower", "app").stderr
    assert project.run("export", "app", "-o", "out").code == 0
    ran = project.run("explain", "app")
    assert ran.code == 2 and "'app' is several nodes" in ran.stderr
    ran = project.run("lower", "other")
    assert ran.code == 2 and "no image named 'other'\n  hint: it is a task" in ran.stderr
    ran = project.run("lower", "scratch")
    assert ran.stderr == "error: no image named 'scratch'\n  hint: known here: app@oci, image:app@oci\n"
    assert project.run("explain", "scratch").stdout.startswith("base:scratch: fresh\n")
