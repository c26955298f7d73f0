"""Random and mutated recipes: whatever is in the file, it is read or its errors are shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgbake.engine import graph
from imgbake.errors import RecipeError
from imgbake.recipe import recipe
from imgbake.testing.recipes import Kinds

FEW = settings(max_examples=150, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=1_000, suppress_health_check=list(HealthCheck))

SEED = """\
include = ["more.toml"]
[project]
name = "shop"
pools = { db = 1 }
[args]
version = "1.4.2"
python = { default = 3.10, help = "Python", choices = ["3.11", 3.10] }
token = { secret = true, env = "HOME" }
[tasks.wheel]
run = '''
python -m build {{ version }} \\{{
'''
inputs = ["src/**/*.py", "pyproject.toml"] # all
outputs = ["dist/*.whl"]
timeout = "5m"
resources = { db = 1 }
[tasks.assets]
uses = "fetch"
url = "https://user:password@localhost/{{ token }}"
method = "GET"
headers = [{ name = "a", value = "{{ env.HOME }}" }]
needs = ["wheel"]
[components.runtime]
params = { version = "3.12" }
build = ["install python{{ params.version }}"]
[components.app]
needs = ["runtime"]
files = [
  { from = "task:wheel", to = "/opt/wheels/" },
  { from = "conf/app.toml", to = "/etc/app.toml", mode = "0640", owner = "1000:1000" },
]
env = { APP_MODE = "production" }
[images.shop]
base = "python:3.12-slim"
components = ["runtime", { use = "app" }]
entrypoint = ["shop"]
ports = [80, "53/udp"]
targets = ["vm"]
[images.shop.healthcheck]
test = "true"
interval = "30s"
[images.child]
base = "image:shop"
targets = ["vm"]
[targets.vm]
uses = "vm"
region = "eu"
"""
MORE = '[tasks.more]\nrun = "x"\n[args]\nother = 1\n'

names = st.sampled_from(["a", "b", "A", "a_b", "a-b", "", "é", "a b", "task:a", "oci", "vm"])
expressions = ["{{ a }}", "{{", "{{ params.a }}", "{{ env.HOME }}", "{{ env.NO }}", "\\{{"]
paths = ["a", "b", "", "\0", "\n", "../x", "/x", "x/**", "task:a", "image:a", "scratch"]
kinds_and_values = ["script", "fetch", "oci", "vm", "5m", "0644", "1:1", "80/tcp"]
words = st.sampled_from([*expressions, *paths, *kinds_and_values])
text = words | st.text(max_size=4) | st.lists(words, max_size=3).map("".join)
scalars = (
    text | st.integers(-3, 99_999) | st.floats() | st.booleans() | st.datetimes() | st.dates() | st.times()
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | text, inner, max_size=3),
    max_leaves=6,
)
KEYS = {
    "args": "default help choices secret env",
    "tasks": "run uses url method needs after inputs outputs exclude store timeout retries resources env",
    "components": "params needs files env build validate test",
    "images": "base components targets entrypoint env ports volumes healthcheck labels",
    "targets": "uses region tags retries timeout",
}
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "run": text,
    "uses": words,
    "needs": st.lists(names, max_size=3),
    "after": st.lists(names, max_size=3),
    "inputs": st.lists(text, max_size=3),
    "outputs": st.lists(text, max_size=3),
    "params": st.dictionaries(names, scalars, max_size=2),
    "files": st.lists(
        st.fixed_dictionaries({"from": text, "to": text}, optional={"mode": text, "owner": text})
    ),
    "base": text | st.dictionaries(st.sampled_from(["container", "machine"]), text),
    "components": st.lists(
        names | st.fixed_dictionaries({"use": names}, optional={"a": scalars}), max_size=4
    ),
    "targets": st.lists(names, max_size=2),
    "build": text | st.lists(text, max_size=2),
    "env": st.dictionaries(text, text, max_size=2),
}

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _table(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={key: GOOD.get(key, anything) | anything for key in keys})


tables = st.fixed_dictionaries(
    {},
    optional={
        name: st.dictionaries(names, _table(keys.split()) | anything, max_size=4)
        for name, keys in KEYS.items()
    },
)
extras = st.fixed_dictionaries({}, optional={"project": anything, "include": anything, "other": anything})
random_recipes = st.tuples(tables, extras).map(lambda both: tomli_w.dumps({**both[0], **both[1]}))


@st.composite
def mutated_recipes(draw: st.DrawFn) -> str:
    """The seed with a few of its characters or lines lost, doubled, replaced or moved."""
    mutated = SEED
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(mutated)))
        end = start + draw(st.sampled_from([0, 1, 1, 2, 8, 40]))
        between = draw(
            st.sampled_from(
                ["", "\n", '"', "'", "[", "]", "{", "}", "=", ".", ",", "#", "\\", "{{", "}}", "\r\n", "1"]
            )
            | st.just(mutated[start:end] * 2)
            | st.text(max_size=3)
            | anything.filter(lambda value: isinstance(value, bool | int | str)).map(str)
        )
        mutated = mutated[:start] + between + mutated[end:]
    return mutated


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory, kinds: Kinds) -> Callable[[str], None]:
    """Reads a recipe as a command would, and looks at all of its errors."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "more.toml").write_text(MORE)
    path = folder / "imgbake.toml"

    def read(content: str) -> None:
        path.write_bytes(content.encode(errors="surrogatepass"))
        given, environ = {"b": "{{ token }}"}, {"HOME": "/root"}
        loaded = recipe.read(path, given=given, environ=environ, kinds=kinds, parsed=folder / "parsed")
        assert loaded == recipe.read(path, given=given, environ=environ, kinds=kinds)
        _, more = graph.build(
            loaded.recipe, lambda task: task.outputs, lambda target: _artifact(target.uses, kinds)
        )
        faults = (*loaded.faults, *more)
        error = recipe.problems(faults, loaded.sources)
        assert isinstance(error, RecipeError)
        shown = error.render()
        for fault, problem in zip(faults, error.problems, strict=False):
            assert fault.message
            assert problem.message in shown or not problem.message.isprintable()
        assert not CONTROL.search(shown)

    return read


def _artifact(kind: str, kinds: Kinds) -> str:
    cls = kinds.target(kind)
    return cls.artifact if cls else ""


@given(content=random_recipes)
@FEW
def test_random_recipes(read: Callable[[str], None], content: str) -> None:
    read(content)


@given(content=mutated_recipes())
@FEW
def test_mutated_recipes(read: Callable[[str], None], content: str) -> None:
    read(content)


@pytest.mark.slow
@given(content=random_recipes)
@MANY
def test_many_random_recipes(read: Callable[[str], None], content: str) -> None:
    read(content)


@pytest.mark.slow
@given(content=mutated_recipes())
@MANY
def test_many_mutated_recipes(read: Callable[[str], None], content: str) -> None:
    read(content)


def test_the_seed_itself_is_good(tmp_path: Path, kinds: Kinds) -> None:
    (tmp_path / "imgbake.toml").write_text(SEED)
    (tmp_path / "more.toml").write_text(MORE)
    loaded = recipe.read(tmp_path / "imgbake.toml", given={}, environ={"HOME": "/root"}, kinds=kinds)
    assert loaded.faults == ()
