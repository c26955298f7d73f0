"""Everything that is wrong with a recipe, in one run of `imgbake check`."""

from __future__ import annotations

from imgbake.testing.project import Project


def test_what_is_wrong_with_the_graph_is_told_with_what_is_wrong_with_its_tables(project: Project) -> None:
    project.recipe(
        """\
[tasks.a]
run = 1
needs = ["b"]
[tasks.b]
run = "true"
needs = ["a"]
[tasks.c]
uses = "scrpt"
outputs = ["out"]
[tasks.d]
run = "true"
outputs = ["out"]
""",
    )
    result = project.run("check")
    assert result.code == 2
    assert [
        line for line in result.stderr.removeprefix("error: ").splitlines() if line[:13] == "imgbake.toml:"
    ] == [
        "imgbake.toml:1:8: dependency cycle: task:a -> task:b -> task:a",
        "imgbake.toml:2:7: 'run' must be a string or an array of strings, not an integer",
        "imgbake.toml:8:8: there is no kind of task 'scrpt'",
        "imgbake.toml:12:1: tasks 'c' and 'd' both write 'out'",
    ]
