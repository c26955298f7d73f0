"""`imgbake args` lists what can be given; `--save` keeps what was given for the next builds."""

from __future__ import annotations

import json

import pytest

from imgbake.testing.project import Project

RECIPE = """
[args]
who = { help = "whom to greet", choices = ["world", "moon"] }
how = { default = "hello", env = "HOW" }
unused = "x"
token = { secret = true, env = "TOKEN" }

[tasks.greet]
run = "echo {{ how }} {{ who }} | tee said"
outputs = ["said"]

[tasks.ask]
run = "echo $T | wc -c"
env = { T = "{{ token }}" }

[tasks.rest]
run = "true"
"""


@pytest.fixture
def greeter(project: Project) -> Project:
    project.recipe(RECIPE)
    return project


def said(project: Project, *words: str, **env: str) -> str:
    """What the task prints."""
    ran = project.make("greet", *words, env=env)
    return next(line.partition("| ")[2] for line in ran.stderr.splitlines() if "task:greet | " in line)


def test_what_can_be_given_is_listed(greeter: Project) -> None:
    ran = greeter.run("args", "--arg", "who=moon", env={"TOKEN": "s3cret"})
    assert ran.code == 0 and "s3cret" not in ran.stdout + ran.stderr
    assert [line.split() for line in ran.stdout.splitlines()] == [
        ["ARGUMENT", "OF", "VALUE", "FROM", "DEFAULT", "HELP"],
        ["who", "the", "recipe", "moon", "--arg", "whom", "to", "greet;", "one", "of", "world,", "moon"],
        ["how", "the", "recipe", "hello", "default", "hello"],
        ["token", "the", "recipe", "(secret)", "$TOKEN"],
    ]


def test_only_what_the_named_nodes_read_is_listed(greeter: Project) -> None:
    assert "needed" in greeter.run("args", "ask").stdout
    assert greeter.run("args", "rest").stdout == ""
    assert "no node named 'gret'" in greeter.run("args", "gret").stderr


def test_the_list_as_a_document(greeter: Project) -> None:
    ran = greeter.run("args", "greet", "--format", "json", env={"HOW": "hi"})
    who, how = json.loads(ran.stdout)
    assert who["needed"] and not who["given"] and who["value"] is None
    assert who["choices"] == ["world", "moon"] and who["readers"] == ["task:greet"]
    assert (how["value"], how["from"], how["default"], how["env"]) == ("hi", "environment", "hello", "HOW")


def test_what_is_given_holds_for_one_build_unless_it_is_saved(greeter: Project) -> None:
    assert said(greeter, "--arg", "who=world") == "hello world"
    assert greeter.run("run", "greet", "--no-input").code == 2
    assert said(greeter, "--arg", "who=moon", "--save") == "hello moon"
    assert greeter.make("greet").outcomes() == {"task:greet": "cached"}
    assert "saved" in greeter.run("args", "greet").stdout


def test_the_command_line_and_the_environment_win_over_what_is_saved(greeter: Project) -> None:
    greeter.make("greet", "--arg", "who=moon", "--arg", "how=hey", "--save")
    assert said(greeter, "--arg", "who=world") == "hey world"
    assert said(greeter, HOW="hi") == "hi moon"


def test_what_is_saved_is_added_to(greeter: Project) -> None:
    assert greeter.run("args", "--arg", "who=moon", "--save").code == 0
    assert greeter.run("args", "--arg", "how=hey", "--save").code == 0
    assert said(greeter) == "hey moon"


def test_a_settled_build_sees_what_was_saved_since(greeter: Project) -> None:
    greeter.make("greet", "--arg", "who=moon", "--save")
    for _ in range(2):
        assert greeter.make("greet").outcomes() == {"task:greet": "cached"}
    greeter.run("args", "--arg", "who=world", "--save")
    assert said(greeter) == "hello world"


def test_a_secret_is_not_saved(greeter: Project) -> None:
    ran = greeter.make("ask", "--arg", "token=s3cret", "--save")
    assert "warning: secrets are not saved: token" in ran.stderr
    assert not (greeter.root / ".imgbake/args.toml").exists()


def test_a_value_that_the_recipe_no_longer_offers_is_told(greeter: Project) -> None:
    greeter.make("greet", "--arg", "who=moon", "--save")
    greeter.recipe(RECIPE.replace('"moon"', '"mars"'))
    ran = greeter.run("run", "greet")
    assert ran.code == 2 and "'who', which was saved by --save, cannot be 'moon'" in ran.stderr


def test_saved_arguments_that_cannot_be_read_are_told(greeter: Project) -> None:
    for text in ("who = ", "who = 1\n"):
        greeter.write(".imgbake/args.toml", text)
        ran = greeter.run("run", "greet")
        assert ran.code == 1 and "args.toml can't be read" in ran.stderr
