"""The JSON Schema and the reference of imgbake.toml agree with what reads it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # has no types
import pytest

from imgbake import plugins
from imgbake.recipe import starter
from imgbake.recipe.reference import reference
from imgbake.recipe.schema import json_schema
from imgbake.testing.recipes import Kinds, Recipes

ROOT = Path(__file__).parents[2]

GOOD = """
include = ["more/*.toml"]
[project]
name = "x"
pools = { db = 1 }
[args]
version = 3.10
token = { secret = true }
method = "GET"
[tasks.a]
run = "x"
timeout = "5m"
[tasks.b]
uses = "fetch"
url = "u"
method = "{{ method }}"
headers = [{ name = "a" }]
[components.c]
params = { port = 80 }
files = [{ from = "a", to = "/{{ version }}", mode = "0644", owner = "{{ version }}" }]
build = "x"
[images.i]
base = { container = "scratch" }
components = ["c", { use = "c", port = 81 }]
ports = [80, "53/udp"]
targets = ["oci", "v"]
[targets.v]
uses = "vm"
region = "eu"
"""

BAD = {
    "an unknown table": "[task.a]",
    "an unknown key": '[tasks.a]\nrun = "x"\ninput = []',
    "a key of another kind": '[tasks.a]\nuses = "fetch"\nurl = "u"\nrun = "x"',
    "an unknown kind": '[tasks.a]\nuses = "fecth"\nurl = "u"',
    "no kind": "[tasks.a]\noutputs = []",
    "a wrong type": '[tasks.a]\nrun = "x"\ninputs = "a"',
    "a missing key": '[tasks.a]\nuses = "fetch"',
    "a choice": '[tasks.a]\nuses = "fetch"\nurl = "u"\nmethod = "PUT"',
    "a limit": '[tasks.a]\nuses = "fetch"\nurl = "u"\ntries = 0',
    "a bad name": '[tasks."a b"]\nrun = "x"',
    "a component without a name": '[images.i]\nbase = "scratch"\ncomponents = [{ port = 1 }]',
    "a bad mode": '[components.c]\nfiles = [{ from = "a", to = "/a", mode = "rwx" }]',
    "a relative path": '[components.c]\nfiles = [{ from = "a", to = "a" }]',
    "a target without a kind": "[targets.t]",
    "an argument of a strange type": "[args]\na = [1]",
}


@pytest.fixture(scope="session")
def validator(kinds: Kinds) -> jsonschema.Draft7Validator:
    schema = json_schema(kinds)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_a_good_recipe_is_valid(validator: jsonschema.Draft7Validator) -> None:
    assert [error.message for error in validator.iter_errors(tomllib.loads(GOOD))] == []


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_the_schema_refuses_is_refused_when_read(
    validator: jsonschema.Draft7Validator, recipes: Recipes, text: str
) -> None:
    assert not validator.is_valid(tomllib.loads(text))
    assert recipes.errors(text)


def test_an_error_names_the_key(validator: jsonschema.Draft7Validator) -> None:
    (error,) = validator.iter_errors(tomllib.loads(BAD["an unknown key"]))
    assert list(error.path) == ["tasks", "a"]
    assert "'input' was unexpected" in error.message


def test_every_key_is_described(kinds: Kinds) -> None:
    definitions = json_schema(kinds)["definitions"]
    bare = [
        (name, key)
        for name, schema in definitions.items()
        if name.endswith("Table")
        for key, value in schema["properties"].items()
        if not value.get("description")
    ]
    assert bare == []


def test_there_is_no_null_in_toml(kinds: Kinds) -> None:
    assert not list(_nulls(json_schema(kinds)))


def _nulls(value: Any) -> Any:
    if value is None or value == {"type": "null"}:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nulls(item)


@pytest.mark.parametrize(
    "recipe", sorted(ROOT.glob("examples/*/imgbake.toml")), ids=lambda path: path.parent.name
)
def test_examples_are_valid(recipe: Path) -> None:
    installed = plugins.installed()
    table = tomllib.loads(recipe.read_text())
    strange = {target["uses"] for target in table.get("targets", {}).values()} - set(installed.target_kinds())
    if strange:
        pytest.skip(f"needs a plugin that is not installed: {', '.join(strange)}")
    jsonschema.validate(table, json_schema(installed), jsonschema.Draft7Validator)


def test_the_starter_is_valid_and_good(validator: jsonschema.Draft7Validator, recipes: Recipes) -> None:
    text = starter.files("My first app!")["imgbake.toml"]
    validator.validate(tomllib.loads(text))
    read = recipes.good(text)
    assert read.name == "my-first-app"
    assert list(read.images) == ["my-first-app"]


@pytest.mark.parametrize("name", ["", ".", "--", "äöü", 'a"b', "a\nb", "{x}", "0", "my.shop", 200 * "a"])
def test_the_starter_fits_any_folder(recipes: Recipes, name: str) -> None:
    assert recipes.good(starter.files(name)["imgbake.toml"]).images


def test_the_reference_names_every_key(kinds: Kinds) -> None:
    page = reference(kinds)
    for schema in json_schema(kinds)["definitions"].values():
        for key in schema.get("properties", {}):
            if key not in ("value", "name"):  # of a struct inside a plugin's options
                assert f"| `{key}` |" in page
    assert '### `uses = "fetch"` in a task\n\nFetches a file.\n' in page
    assert "| `run` | a string or an array of strings | required | What to run. |" in page
    assert "| `store` | a boolean | `true` |" in page
