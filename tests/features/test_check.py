"""Everything that is wrong with a recipe, in one run of `imgbake check`."""

from __future__ import annotations

from imgbake.testing.project import Project, Ran


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
    assert _told(result) == [
        "imgbake.toml:1:8: dependency cycle: task:a -> task:b -> task:a",
        "imgbake.toml:2:7: 'run' must be a string or an array of strings, not an integer",
        "imgbake.toml:8:8: there is no kind of task 'scrpt'",
        "imgbake.toml:12:1: tasks 'c' and 'd' both write 'out'",
    ]


def test_an_unknown_key_hides_nothing_else_of_its_table(project: Project) -> None:
    project.recipe(
        """\
[images.a]
base = "scratch"
[targets.t]
uses = "oci"
lvel = 1
timeout = "soon"
[destinations.d]
uses = "layout"
folder = "out"
foldr = "out"
resources = { net = 1 }
[distributions.p]
images = ["b"]
to = ["e"]
tgas = ["1"]
[triggers.t]
on = "a:latest"
buidl = true
distribute = ["q", "p"]
[triggers.u]
on = "latest:"
uses = "webhook"
url = 1
run = ["x"]
""",
    )
    ran = project.run("check")
    assert ran.code == 2
    assert _told(ran) == [
        "imgbake.toml:5:1: unknown key 'lvel' in targets.t",
        "imgbake.toml:6:11: 'soon' is not a duration above zero",
        "imgbake.toml:10:1: unknown key 'foldr' in destinations.d",
        "imgbake.toml:11:15: there is no pool 'net'",
        "imgbake.toml:13:11: there is no image 'b'",
        "imgbake.toml:14:7: there is no destination 'e'",
        "imgbake.toml:15:1: unknown key 'tgas' in distributions.p",
        "imgbake.toml:18:1: unknown key 'buidl' in triggers.t",
        "imgbake.toml:19:15: there is no distribution 'q'",
        "imgbake.toml:21:6: 'latest:': '' can't be a tag",
        "imgbake.toml:23:7: 'url' must be a string, not an integer",
        "imgbake.toml:24:8: there is no task 'x'",
    ]


def test_nothing_is_said_to_be_taken_by_nobody_because_another_table_is_wrong(project: Project) -> None:
    project.recipe(
        """\
[images.a]
base = "scratch"
targets = ["t"]
[images.b]
base = "scratch"
[targets.t]
uses = "packer"
regoin = "eu-west-1"
[destinations.ami]
uses = "ami-region"
region = "eu-west-1"
[destinations.out]
uses = "layout"
folder = "out"
[destinations.more]
uses = "layout"
foldr = "out"
[distributions.p]
images = ["a", "b"]
to = ["ami", "out"]
[distributions.q]
images = ["b"]
to = ["ami", "more"]
""",
    )
    ran = project.run("check")
    assert [line for line in _told(ran) if "take" in line] == [] and "unknown key 'regoin'" in ran.stderr


def _told(ran: Ran) -> list[str]:
    """The faults that were told, without the lines that show where."""
    lines = ran.stderr.removeprefix("error: ").splitlines()
    return [line for line in lines if line.startswith("imgbake.toml:")]
