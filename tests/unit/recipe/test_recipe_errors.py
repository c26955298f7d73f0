"""What a wrong recipe looks like on the screen: one test for each kind of error, with its exact text."""

from __future__ import annotations

import pytest

from imgbake.testing.recipes import Recipes


def test_syntax(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = make
"""
    shown = """\
imgbake.toml:2:7: invalid value
 2 | run = make
   |       ^
  hint: text needs quotes: "..."; true and false are written small

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_string_that_is_not_closed(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = 'make
"""
    shown = """\
imgbake.toml:2:1: expected "'"
 2 | run = 'make
   | ^^^
  hint: the text's closing quotes are missing

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_array_that_is_not_closed(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
inputs = ["a", "b"

[tasks.b]
run = "y"
"""
    shown = """\
imgbake.toml:5:1: unclosed array, which begins in line 3
 5 | [tasks.b]
   | ^
  hint: items are separated by commas, and ']' ends the array

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_error_of_syntax_hides_no_other_error(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = make
[tasks.a.env]
A = 1
[tasks.b]
rnu = '''
[not a table]
'''
[components.c
env = {}
[components.d]
needs = ["c"]
files = [{ from = "task:a", to = "x" }]
"""
    assert recipes.messages(recipe) == [
        "imgbake.toml:2:7: invalid value",
        "imgbake.toml:6:1: unknown key 'rnu' in a task that says neither 'uses' nor 'run'",
        "imgbake.toml:9:14: expected ']' at the end of a table declaration",
        "imgbake.toml:13:34: 'x' is not an absolute path",
    ]


def test_names_that_an_unreadable_part_may_hold_are_no_errors(recipes: Recipes) -> None:
    recipes.write("broken.toml", "[components.web]\nenv = }\n")
    recipe = """\
include = ["broken.toml", "missing.toml"]
[args]
version = 1.x
[tasks.a]
run = "make {{ version }}"
needs = ["b"]
timeout = "{{ version }}"
retries = -1
[images.i]
base = "image:j"
components = ["web"]
targets = ["t"]
"""
    assert recipes.messages(recipe) == [
        "imgbake.toml:1:27: nothing matches 'missing.toml'",
        "imgbake.toml:3:12: expected newline or end of document after a statement",
        "imgbake.toml:8:11: 'retries' must be 0 or more",
        "broken.toml:2:7: invalid value",
    ]


def test_a_table_twice_in_one_file(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
[tasks.a]
run = "y"
"""
    shown = """\
imgbake.toml:3:1: 'tasks.a' is defined twice
 3 | [tasks.a]
   | ^^^^^^^^^
  hint: put both into one, or rename one of them

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_key(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
input = ["a.c"]
"""
    shown = """\
imgbake.toml:3:1: unknown key 'input' in tasks.a
 3 | input = ["a.c"]
   | ^^^^^
  hint: did you mean 'inputs'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_top_level_table(recipes: Recipes) -> None:
    recipe = """\
[image.a]
base = "scratch"
"""
    shown = """\
imgbake.toml:1:2: unknown key 'image'
 1 | [image.a]
   |  ^^^^^
  hint: did you mean 'images'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_wrong_type(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
outputs = "out/*"
retries = "2"
"""
    shown = """\
imgbake.toml:3:11: 'outputs' must be an array of strings, not a string
 3 | outputs = "out/*"
   |           ^^^^^^^
  hint: put it in brackets: outputs = ["out/*"]

imgbake.toml:4:11: 'retries' must be an integer, not a string
 4 | retries = "2"
   |           ^^^
  hint: leave out the quotes: retries = 2

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_missing_key(recipes: Recipes) -> None:
    recipe = """\
[components.a]
files = [
    { to = "/srv/" },
]
"""
    shown = """\
imgbake.toml:3:5: 'from' is missing in components.a.files[0]
 3 |     { to = "/srv/" },
   |     ^^^^^^^^^^^^^^^^
  hint: add from = "..."

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_choice_of_a_plugin_that_is_not_offered(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
uses = "fetch"
url = "http://localhost/"
method = "PSOT"
"""
    shown = """\
imgbake.toml:4:10: 'method' cannot be "PSOT"
 4 | method = "PSOT"
   |          ^^^^^^
  hint: did you mean 'POST'? choose from "GET", "POST"

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_kind_of_task(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
uses = "fecth"
url = "http://localhost/"
"""
    shown = """\
imgbake.toml:2:8: there is no kind of task 'fecth'
 2 | uses = "fecth"
   |        ^^^^^^^
  hint: did you mean 'fetch'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


@pytest.mark.parametrize(("wrong", "meant"), [("rnu", "run"), ("use", "uses"), ("command", "run")])
def test_a_misspelt_key_that_would_say_what_a_task_is(recipes: Recipes, wrong: str, meant: str) -> None:
    recipe = f"""\
[tasks.a]
{wrong} = "make"
"""
    shown = f"""\
imgbake.toml:2:1: unknown key '{wrong}' in a task that says neither 'uses' nor 'run'
 2 | {wrong} = "make"
   | {"^" * len(wrong)}
  hint: did you mean '{meant}'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_task_of_no_kind(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
outputs = ["x"]
"""
    shown = """\
imgbake.toml:1:8: 'a' says neither what it uses nor what to run
 1 | [tasks.a]
   |        ^
  hint: add run = "...", or uses = one of fetch, script

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_task(recipes: Recipes) -> None:
    recipe = """\
[tasks.build-all]
run = "x"
[tasks.b]
run = "x"
needs = ["Build_All", "buidl-all"]
"""
    shown = """\
imgbake.toml:5:10: there is no task 'Build_All'
 5 | needs = ["Build_All", "buidl-all"]
   |          ^^^^^^^^^^^
  hint: did you mean 'build-all'?

imgbake.toml:5:23: there is no task 'buidl-all'
 5 | needs = ["Build_All", "buidl-all"]
   |                       ^^^^^^^^^^^
  hint: did you mean 'build-all'?

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_component(recipes: Recipes) -> None:
    recipe = """\
[components.runtime]
[images.a]
base = "scratch"
components = ["runtme"]
"""
    shown = """\
imgbake.toml:4:15: there is no component 'runtme'
 4 | components = ["runtme"]
   |               ^^^^^^^^
  hint: did you mean 'runtime'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_target(recipes: Recipes) -> None:
    recipe = """\
[images.a]
base = "scratch"
targets = ["prod"]
[targets.production]
uses = "vm"
region = "eu"
"""
    shown = """\
imgbake.toml:3:12: there is no target 'prod'
 3 | targets = ["prod"]
   |            ^^^^^^
  hint: known here: oci, production

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_target_that_is_named_as_its_kind_and_not_declared(recipes: Recipes) -> None:
    recipe = """\
[images.a]
base = "scratch"
targets = ["vm"]
"""
    shown = """\
imgbake.toml:3:12: there is no target 'vm'
 3 | targets = ["vm"]
   |            ^^^^
  hint: declare it: [targets.vm] with uses = "vm"

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_task_in_files(recipes: Recipes) -> None:
    recipe = """\
[tasks.wheel]
run = "x"
[components.a]
files = [{ from = "task:weel", to = "/opt/" }]
"""
    shown = """\
imgbake.toml:4:19: there is no task 'weel'
 4 | files = [{ from = "task:weel", to = "/opt/" }]
   |                   ^^^^^^^^^^^
  hint: did you mean 'wheel'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_argument(recipes: Recipes) -> None:
    recipe = """\
[args]
version = "1"
[tasks.a]
run = "echo {{ version }} {{ verison }}"
"""
    shown = """\
imgbake.toml:4:27: there is no argument 'verison'
 4 | run = "echo {{ version }} {{ verison }}"
   |                           ^^^^^^^^^^^^^
  hint: did you mean 'version'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_unknown_parameter(recipes: Recipes) -> None:
    recipe = """\
[components.a]
params = { version = "1" }
build = ["install {{ params.version }} {{ params.vresion }}"]
[images.i]
base = "scratch"
components = [{ use = "a", versoin = 2 }]
targets = ["v"]
[targets.v]
uses = "vm"
region = "eu"
"""
    shown = """\
imgbake.toml:3:40: the component has no parameter 'vresion'
 3 | build = ["install {{ params.version }} {{ params.vresion }}"]
   |                                        ^^^^^^^^^^^^^^^^^^^^
  hint: did you mean 'version'?

imgbake.toml:6:28: component 'a' has no parameter 'versoin'
 6 | components = [{ use = "a", versoin = 2 }]
   |                            ^^^^^^^
  hint: did you mean 'version'?

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_expression(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "docker inspect --format '{{.State.Status}}' x"
"""
    shown = r"""imgbake.toml:2:33: there is no argument '.State.Status'
 2 | run = "docker inspect --format '{{.State.Status}}' x"
   |                                 ^^^^^^^^^^^^^^^^^
  hint: write '\{{' for a literal '{{'

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_variable_that_is_not_set(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "echo {{ env.NOWHERE }}"
"""
    shown = """\
imgbake.toml:2:13: the environment variable 'NOWHERE' is not set
 2 | run = "echo {{ env.NOWHERE }}"
   |             ^^^^^^^^^^^^^^^^^
  hint: set it, or read an argument with env = "NOWHERE" and a default instead

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_cycle_of_components(recipes: Recipes) -> None:
    recipe = """\
[components.a]
needs = ["b"]
[components.b]
needs = ["c"]
[components.c]
needs = ["a"]
"""
    shown = """\
imgbake.toml:2:1: components need each other in a circle: a -> b -> c -> a
 2 | needs = ["b"]
   | ^^^^^

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_cycle_of_images(recipes: Recipes) -> None:
    recipe = """\
[images.a]
base = "image:b"
[images.b]
base = "image:a"
"""
    shown = """\
imgbake.toml:2:8: images stand on each other in a circle: a -> b -> a
 2 | base = "image:b"
   |        ^^^^^^^^^

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_component_twice(recipes: Recipes) -> None:
    recipe = """\
[components.app]
[images.a]
base = "scratch"
components = [
    "app",
    { use = "app" },
]
"""
    shown = """\
imgbake.toml:6:5: component 'app' is already in this image, listed at imgbake.toml:5:5
 6 |     { use = "app" },
   |     ^^^^^^^^^^^^^^^
  hint: an image has each component once: remove one, or write two components

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_component_twice_with_other_parameters(recipes: Recipes) -> None:
    recipe = """\
[components.app]
params = { port = 80 }
[images.a]
base = "scratch"
components = [{ use = "app", port = 81 }, { use = "app", port = 82 }]
"""
    shown = """\
imgbake.toml:5:43: component 'app' is already in this image, listed at imgbake.toml:5:15
 5 | components = [{ use = "app", port = 81 }, { use = "app", port = 82 }]
   |                                           ^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: an image has each component once: remove one, or write two components

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_component_twice_by_another_spelling(recipes: Recipes) -> None:
    recipe = """\
[components.my-app]
[images.a]
base = "scratch"
components = ["my-app", "My_App"]
"""
    shown = """\
imgbake.toml:4:25: component 'My_App' is already in this image, listed at imgbake.toml:4:15
 4 | components = ["my-app", "My_App"]
   |                         ^^^^^^^^
  hint: an image has each component once: remove one, or write two components

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_names_that_differ_only_in_spelling(recipes: Recipes) -> None:
    recipe = """\
[components.my-app]
[components.My_App]
"""
    shown = """\
imgbake.toml:2:13: the name 'My_App' differs only in spelling from 'my-app' at imgbake.toml:1:13
 2 | [components.My_App]
   |             ^^^^^^
  hint: rename one of them

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_component_twice_through_an_include(recipes: Recipes) -> None:
    recipes.write(
        "shared/app.toml",
        """\
[components.app]
env = { A = "2" }
""",
    )
    recipe = """\
include = ["shared/*.toml"]
[components.app]
env = { A = "1" }
"""
    shown = """\
shared/app.toml:1:13: components.app is defined twice, first at imgbake.toml:2:13
 1 | [components.app]
   |             ^^^
  hint: rename one of them

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_include_that_matches_nothing(recipes: Recipes) -> None:
    recipe = """\
include = ["components/*.toml"]
"""
    shown = """\
imgbake.toml:1:12: nothing matches 'components/*.toml'
 1 | include = ["components/*.toml"]
   |            ^^^^^^^^^^^^^^^^^^^
  hint: patterns are relative to the recipe

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_what_an_included_file_may_not_hold(recipes: Recipes) -> None:
    recipes.write(
        "more.toml",
        """\
include = []
[project]
name = "x"
[task.a]
""",
    )
    recipe = """\
include = ["more.toml"]
"""
    shown = """\
more.toml:1:1: 'include' belongs into the recipe itself, not into a file that it includes
 1 | include = []
   | ^^^^^^^

more.toml:2:2: 'project' belongs into the recipe itself, not into a file that it includes
 2 | [project]
   |  ^^^^^^^

more.toml:4:2: unknown key 'task'
 4 | [task.a]
   |  ^^^^
  hint: did you mean 'tasks'?

3 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_error_in_an_included_file(recipes: Recipes) -> None:
    recipes.write(
        "more.toml",
        """\
# more
[tasks.a]
run = 1
""",
    )
    recipe = """\
include = ["more.toml"]
"""
    shown = """\
more.toml:3:7: 'run' must be a string or an array of strings, not an integer
 3 | run = 1
   |       ^
  hint: put it in quotes: run = "1"

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_bad_name(recipes: Recipes) -> None:
    recipe = """\
[tasks."a b"]
run = "x"
"""
    shown = """\
imgbake.toml:1:8: 'a b' cannot be a name
 1 | [tasks."a b"]
   |        ^^^^^
  hint: up to 100 letters (a to z), digits, '.', '_' and '-', the first a letter or digit

1 error in the recipe"""
    assert recipes.errors(recipe) == shown
    assert "cannot be a name" in recipes.errors(recipe.replace("a b", 101 * "a"))


def test_an_output_outside_the_project(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
inputs = ["../shared.h"]
outputs = ["/tmp/x", "build/../../x", "."]
"""
    shown = """\
imgbake.toml:3:11: the input '../shared.h' leaves the project
 3 | inputs = ["../shared.h"]
   |           ^^^^^^^^^^^^^
  hint: paths are relative to the recipe's folder, and stay in it

imgbake.toml:4:12: the output '/tmp/x' is absolute
 4 | outputs = ["/tmp/x", "build/../../x", "."]
   |            ^^^^^^^^
  hint: paths are relative to the recipe's folder, and stay in it

imgbake.toml:4:22: the output 'build/../../x' leaves the project
 4 | outputs = ["/tmp/x", "build/../../x", "."]
   |                      ^^^^^^^^^^^^^^^
  hint: paths are relative to the recipe's folder, and stay in it

imgbake.toml:4:39: the whole project cannot be an output
 4 | outputs = ["/tmp/x", "build/../../x", "."]
   |                                       ^^^
  hint: name a folder in it

4 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_an_argument_that_the_recipe_has_not(recipes: Recipes) -> None:
    recipe = """\
[args]
version = "1"
"""
    shown = """\
--arg verison: the recipe has no such argument
  hint: did you mean 'version'?

1 error in the recipe"""
    assert recipes.errors(recipe, given={"verison": "2"}) == shown


def test_an_argument_that_is_not_offered(recipes: Recipes) -> None:
    recipe = """\
[args]
python = { default = "3.12", choices = ["3.11", "3.12"] }
"""
    shown = """\
--arg python cannot be '3.9'
  hint: choose from 3.11, 3.12

1 error in the recipe"""
    assert recipes.errors(recipe, given={"python": "3.9"}) == shown


def test_a_default_that_is_not_offered(recipes: Recipes) -> None:
    recipe = """\
[args]
python = { default = 3.10, choices = ["3.11", 3.12] }
"""
    shown = """\
imgbake.toml:2:22: 'python' cannot be '3.10'
 2 | python = { default = 3.10, choices = ["3.11", 3.12] }
   |                      ^^^^
  hint: did you mean '3.12' or '3.11'? choose from 3.11, 3.12

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_variable_that_is_not_offered(recipes: Recipes) -> None:
    recipe = """\
[args]
python = { env = "PY", choices = ["3.11", "3.12"] }
"""
    shown = """\
imgbake.toml:2:18: 'python', taken from the environment variable PY, cannot be '2'
 2 | python = { env = "PY", choices = ["3.11", "3.12"] }
   |                  ^^^^
  hint: choose from 3.11, 3.12

1 error in the recipe"""
    assert recipes.errors(recipe, environ={"PY": "2"}) == shown


def test_a_secret_with_a_default(recipes: Recipes) -> None:
    recipe = """\
[args]
token = { secret = true, default = "hunter2" }
"""
    shown = """\
imgbake.toml:2:36: a secret cannot have a default: everybody could read it here
 2 | token = { secret = true, default = "hunter2" }
   |                                    ^^^^^^^^^
  hint: leave it out; --arg, or an environment variable that 'env' names, gives the value

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_secret_where_it_could_be_read(recipes: Recipes) -> None:
    recipe = """\
[args]
token = { secret = true }
[components.c]
env = { TOKEN = "{{ token }}" }
[images.i]
base = "scratch"
labels = { token = "is {{token}}" }
[tasks.t]
run = "x"
outputs = ["{{ token }}.txt"]
"""
    shown = """\
imgbake.toml:4:18: the secret argument 'token' cannot be used in 'env' of a component: it could be read there
 4 | env = { TOKEN = "{{ token }}" }
   |                  ^^^^^^^^^^^
  hint: secrets can be used in commands, and in the options of tasks and targets

imgbake.toml:7:20: the secret argument 'token' cannot be used in 'labels' of an image: it could be read there
 7 | labels = { token = "is {{token}}" }
   |                    ^^^^^^^^^^^^^^
  hint: secrets can be used in commands, and in the options of tasks and targets

imgbake.toml:10:13: the secret argument 'token' cannot be used in 'outputs' of a task: it could be read there
 10 | outputs = ["{{ token }}.txt"]
    |             ^^^^^^^^^^^
  hint: secrets can be used in commands, and in the options of tasks and targets

3 errors in the recipe"""
    assert recipes.errors(recipe, given={"token": "hunter2"}) == shown


def test_an_unknown_pool_and_one_too_small(recipes: Recipes) -> None:
    recipe = """\
[project]
pools = { db = 2 }
[tasks.a]
run = "x"
resources = { db = 3 }
[tasks.b]
run = "x"
resources = { bd = 1 }
"""
    shown = """\
imgbake.toml:5:20: the pool 'db' holds 2, so nobody can take 3 of it
 5 | resources = { db = 3 }
   |                    ^

imgbake.toml:8:15: there is no pool 'bd'
 8 | resources = { bd = 1 }
   |               ^^
  hint: known here: db

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_duration(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
run = "x"
timeout = "5 minutes"
[tasks.b]
run = "x"
timeout = 0
"""
    shown = """\
imgbake.toml:3:11: '5 minutes' is not a duration above zero
 3 | timeout = "5 minutes"
   |           ^^^^^^^^^^^
  hint: write seconds, or text such as "90s", "5m" or "1h30m"

imgbake.toml:6:11: '0' is not a duration above zero
 6 | timeout = 0
   |           ^
  hint: write seconds, or text such as "90s", "5m" or "1h30m"

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_owner_and_mode(recipes: Recipes) -> None:
    recipe = """\
[components.c]
files = [{ from = "a", to = "srv/a", owner = "root", mode = "rwx" }]
"""
    shown = """\
imgbake.toml:2:29: 'srv/a' is not an absolute path
 2 | files = [{ from = "a", to = "srv/a", owner = "root", mode = "rwx" }]
   |                             ^^^^^^^
  hint: write "/srv/a"

imgbake.toml:2:46: 'root' is no user and group
 2 | files = [{ from = "a", to = "srv/a", owner = "root", mode = "rwx" }]
   |                                              ^^^^^^
  hint: write numbers, such as "1000:1000": names mean different numbers in different images

imgbake.toml:2:61: 'rwx' is no mode
 2 | files = [{ from = "a", to = "srv/a", owner = "root", mode = "rwx" }]
   |                                                             ^^^^^
  hint: write three or four octal digits, such as "0644"

3 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_commands_that_the_target_cannot_run(recipes: Recipes) -> None:
    recipe = """\
[components.c]
build = "make install"
test = ["app --check"]
[images.i]
base = "scratch"
components = ["c"]
"""
    shown = """\
imgbake.toml:2:1: component 'c' has build commands, which the target 'oci' cannot run
 2 | build = "make install"
   | ^^^^^
  hint: give the image a target that can: one that uses vm

imgbake.toml:3:1: component 'c' has test commands, which the target 'oci' cannot run
 3 | test = ["app --check"]
   | ^^^^
  hint: no kind of target that is installed runs test commands

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_base_for_another_artifact(recipes: Recipes) -> None:
    recipe = """\
[images.i]
base = { machine = "ami-1" }
[images.j]
base = { contaner = "alpine" }
"""
    shown = """\
imgbake.toml:2:1: there is no base for 'container', which the target 'oci' makes
 2 | base = { machine = "ami-1" }
   | ^^^^
  hint: add container = "..."

imgbake.toml:4:1: there is no base for 'container', which the target 'oci' makes
 4 | base = { contaner = "alpine" }
   | ^^^^
  hint: add container = "..."

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_base_that_is_no_image(recipes: Recipes) -> None:
    recipe = """\
[images.python-base]
base = "scratch"
[images.i]
base = "image:python-bsae"
"""
    shown = """\
imgbake.toml:4:8: there is no image 'python-bsae'
 4 | base = "image:python-bsae"
   |        ^^^^^^^^^^^^^^^^^^^
  hint: did you mean 'python-base'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_ports(recipes: Recipes) -> None:
    recipe = """\
[images.i]
base = "scratch"
ports = [80, "53/udp", 70000, "http"]
"""
    shown = """\
imgbake.toml:3:24: '70000' is no port
 3 | ports = [80, "53/udp", 70000, "http"]
   |                        ^^^^^
  hint: write a number up to 65535, or "53/udp" (tcp, udp or sctp)

imgbake.toml:3:31: 'http' is no port
 3 | ports = [80, "53/udp", 70000, "http"]
   |                               ^^^^^^
  hint: write a number up to 65535, or "53/udp" (tcp, udp or sctp)

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_passwords_in_urls_are_masked(recipes: Recipes) -> None:
    recipe = """\
[tasks.a]
uses = "fetch"
url = ["https://user:hunter2@localhost/"]
[tasks.b]
uses = "fetch"
url = "https://token@localhost/"
method = "https://a:hunter2@b"
"""
    shown = """\
imgbake.toml:3:7: 'url' must be a string, not an array
 3 | url = ["https://user:*******@localhost/"]
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

imgbake.toml:7:10: 'method' cannot be "https://a:*******@b"
 7 | method = "https://a:*******@b"
   |          ^^^^^^^^^^^^^^^^^^^^^
  hint: choose from "GET", "POST"

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_missing_argument_that_decides_how_the_recipe_is_read(recipes: Recipes) -> None:
    recipe = """\
[args]
method = { help = "how" }
[tasks.a]
uses = "fetch"
url = "http://localhost/{{ method }}"
method = "{{ method }}"
"""
    shown = """\
imgbake.toml:6:10: the argument 'method' is missing, and what is written here depends on it
 6 | method = "{{ method }}"
   |          ^^^^^^^^^^^^^^
  hint: give it: --arg method=VALUE

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


def test_a_value_that_smuggles_in_a_secret(recipes: Recipes) -> None:
    recipe = """\
[args]
token = { secret = true }
title = "x"
[tasks.a]
run = "echo {{ title }}"
"""
    shown = """\
imgbake.toml:5:7: the text comes to hold '{{ token }}', which would be read as a secret argument
 5 | run = "echo {{ title }}"
   |       ^^^^^^^^^^^^^^^^^^
  hint: rename the argument 'token', or keep this out of the value that is put in

1 error in the recipe"""
    assert recipes.errors(recipe, given={"token": "hunter2", "title": "{{ token }}"}) == shown


def test_many_errors_in_one_run(recipes: Recipes) -> None:
    recipes.write(
        "more.toml",
        """\
[components.x]
files = [{ from = '/etc', to = '/x' }, { to = 'y' }]
env = { A = 1, "B=" = '2' }
""",
    )
    recipe = """\
include = ["more.toml"]
[project]
pools = { db = 0 }
[args]
who = "{{ env.USER }}"
[tasks.a]
run = ["make", 1]
inptus = ["a"]
timeout = "soon"
needs = ["b", 2, "c"]
[tasks.b]
uses = "fetch"
needs = ["d"]
tries = 10
[images.i]
components = ["x", { us = "y" }]
healthcheck = { interval = "often" }
"""
    shown = """\
imgbake.toml:3:16: 'db' must be 1 or more
 3 | pools = { db = 0 }
   |                ^

imgbake.toml:5:7: '{{ }}' is not evaluated in [args]
 5 | who = "{{ env.USER }}"
   |       ^^^^^^^^^^^^^^^^
  hint: put values together where they are used

imgbake.toml:7:16: 'run[1]' must be a string, not an integer
 7 | run = ["make", 1]
   |                ^
  hint: put it in quotes: "1"

imgbake.toml:8:1: unknown key 'inptus' in tasks.a
 8 | inptus = ["a"]
   | ^^^^^^
  hint: did you mean 'inputs'?

imgbake.toml:9:11: 'soon' is not a duration above zero
 9 | timeout = "soon"
   |           ^^^^^^
  hint: write seconds, or text such as "90s", "5m" or "1h30m"

imgbake.toml:10:15: 'needs[1]' must be a string, not an integer
 10 | needs = ["b", 2, "c"]
    |               ^
  hint: put it in quotes: "2"

imgbake.toml:10:18: there is no task 'c'
 10 | needs = ["b", 2, "c"]
    |                  ^^^
  hint: known here: a, b

imgbake.toml:11:8: 'url' is missing in tasks.b
 11 | [tasks.b]
    |        ^
  hint: add url = "..."

imgbake.toml:13:10: there is no task 'd'
 13 | needs = ["d"]
    |          ^^^
  hint: known here: a, b

imgbake.toml:14:9: 'tries' must be 9 or less
 14 | tries = 10
    |         ^^

imgbake.toml:15:9: 'base' is missing in images.i
 15 | [images.i]
    |         ^
  hint: add base = "..."

imgbake.toml:16:20: 'use' must be the name of a component
 16 | components = ["x", { us = "y" }]
    |                    ^^^^^^^^^^^^
  hint: write { use = "name", ... }

imgbake.toml:17:1: 'test' is missing in images.i.healthcheck
 17 | healthcheck = { interval = "often" }
    | ^^^^^^^^^^^
  hint: add test = "..."

imgbake.toml:17:28: 'often' is not a duration
 17 | healthcheck = { interval = "often" }
    |                            ^^^^^^^
  hint: write seconds, or text such as "90s", "5m" or "1h30m"

more.toml:2:19: the source '/etc' is absolute
 2 | files = [{ from = '/etc', to = '/x' }, { to = 'y' }]
   |                   ^^^^^^
  hint: paths are relative to the recipe's folder, and stay in it

more.toml:2:40: 'from' is missing in components.x.files[1]
 2 | files = [{ from = '/etc', to = '/x' }, { to = 'y' }]
   |                                        ^^^^^^^^^^^^
  hint: add from = "..."

more.toml:2:47: 'y' is not an absolute path
 2 | files = [{ from = '/etc', to = '/x' }, { to = 'y' }]
   |                                               ^^^
  hint: write "/y"

more.toml:3:13: 'A' must be a string, not an integer
 3 | env = { A = 1, "B=" = '2' }
   |             ^
  hint: put it in quotes: A = "1"

more.toml:3:16: 'B=' cannot be the name of an environment variable
 3 | env = { A = 1, "B=" = '2' }
   |                ^^^^

19 errors in the recipe"""
    assert recipes.errors(recipe) == shown


def test_columns_count_characters_behind_tabs_and_accents(recipes: Recipes) -> None:
    assert recipes.errors('[tasks.a]\n\trun = "é"\n\tenv = { "ö" = 1 }\n').splitlines()[:3] == [
        "imgbake.toml:3:16: 'ö' must be a string, not an integer",
        ' 3 | \tenv = { "ö" = 1 }',
        "   | \t              ^",
    ]


def test_carets_stand_below_wide_characters_and_nothing_turns_a_line_round(recipes: Recipes) -> None:
    assert recipes.errors('tasks."日\\u202e本".run = "true"\n').splitlines()[:3] == [
        r"imgbake.toml:1:7: '日\u202e本' cannot be a name",
        r' 1 | tasks."日\u202e本".run = "true"',
        "   |       ^^^^^^^^^^^^",
    ]
    assert recipes.errors('tasks."日本".run = "true"\n').splitlines()[1:3] == [
        ' 1 | tasks."日本".run = "true"',
        "   |       ^^^^^^",
    ]


def test_words_of_other_tools(recipes: Recipes) -> None:
    recipe = """\
[components.a]
run = "make"
files = ["a:/a"]
"""
    shown = """\
imgbake.toml:2:1: unknown key 'run' in components.a
 2 | run = "make"
   | ^^^
  hint: did you mean 'build'?

imgbake.toml:3:10: 'files[0]' must be a table, not a string
 3 | files = ["a:/a"]
   |          ^^^^^^
  hint: write it as a table: { from = "...", to = "..." }

2 errors in the recipe"""
    assert recipes.errors(recipe) == shown
