"""What a good recipe says once it is read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from imgbake.errors import PluginError, UsageError
from imgbake.model import At, Healthcheck, ImageConfig, Policy
from imgbake.recipe import recipe
from imgbake.testing.recipes import Kinds, Recipes


class Taken(msgspec.Struct):
    inputs: tuple[str, ...] = ()


class Greedy:
    def __init__(self, options: Taken) -> None: ...


VM = '[targets.v]\nuses = "vm"\nregion = "eu"\n'


def test_a_task(recipes: Recipes) -> None:
    task = recipes.good("""
[project]
name = "shop"
pools = { db = 2 }
[tasks.first]
run = "true"
[tasks.all]
run = ["make", "-j2"]
cwd = "src"
env = { A = "1" }
needs = ["first"]
after = ["first"]
inputs = ["./src/**/*.c"]
exclude = ["src/gen/**"]
outputs = ["build/"]
store = false
always = true
timeout = "1m30s"
retries = 2
resources = { db = 2 }
""").tasks["all"]
    assert task.at == At("imgbake.toml", ("tasks", "all"))
    assert (task.uses, task.options.run, task.options.cwd, task.options.env) == (
        "script",
        ("make", "-j2"),
        "src",
        {"A": "1"},
    )
    assert (task.needs, task.after, task.inputs) == (("first",), ("first",), ("src/**/*.c",))
    assert (task.exclude, task.outputs, task.store, task.always) == (
        ("src/gen/**",),
        ("build/",),
        False,
        True,
    )
    assert task.policy == Policy(90.0, 2, {"db": 2})


def test_the_order_of_the_recipe_is_kept(recipes: Recipes) -> None:
    text = '[tasks.z]\nrun = "x"\n[tasks.f]\nuses = "fetch"\nurl = "u"\n[tasks.a]\nrun = "x"\n'
    assert list(recipes.good(text).tasks) == ["z", "f", "a"]


def test_where_a_recipe_is(recipes: Recipes) -> None:
    recipes.write("components/a.toml", "[components.a]\n")
    recipes.write("components/b.toml", "[components.b]\n[images.b]\nbase = 'scratch'\n")
    loaded = recipes.read('include = ["components/*.toml", "components/a.toml", "*.toml"]\n[components.c]\n')
    root = recipes.folder.resolve()
    assert loaded.recipe.name == root.name
    assert loaded.recipe.root == str(root)
    assert loaded.recipe.files == tuple(
        str(root / name) for name in ("imgbake.toml", "components/a.toml", "components/b.toml")
    )
    assert loaded.recipe.components["b"] == At("components/b.toml", ("components", "b"))
    assert loaded.recipe.images["b"].at == At("components/b.toml", ("images", "b"))
    assert list(loaded.sources) == ["imgbake.toml", "components/a.toml", "components/b.toml"]


def test_components_are_pulled_in_by_need(recipes: Recipes) -> None:
    image = recipes.good(
        VM
        + """
[components.os]
[components.runtime]
needs = ["os"]
params = { version = "3.12", path = "/opt/{{ root }}" }
env = { VERSION = "{{ params.version }}", WHERE = "{{ params.path }}" }
[components.app]
needs = ["runtime"]
build = "make"
validate = ["app --version", "app --check"]
[components.unused]
[args]
root = "r"
[images.i]
base = { machine = "ami-1" }
components = ["app", { use = "runtime", version = 3.10 }, "os"]
targets = ["v"]
"""
    ).images["i"]
    assert [component.name for component in image.components] == ["os", "runtime", "app"]
    runtime, app = image.components[1:]
    assert runtime.params == {"version": "3.10", "path": "/opt/r"}
    assert runtime.env == {"VERSION": "3.10", "WHERE": "/opt/r"}
    assert (app.build, app.validate, app.test) == (("make",), ("app --version", "app --check"), ())
    assert image.args == ("root",)
    assert image.base == {"machine": "ami-1"}


def test_files_of_a_component(recipes: Recipes) -> None:
    (component,) = (
        recipes.good("""
[tasks.wheel]
run = "x"
[components.app]
files = [
  { from = "task:wheel", to = "/opt//wheels/" },
  { from = "./conf/*.toml", to = "/etc/app", mode = "0640", owner = "1000:50" },
  { from = "a.zip", to = "/", owner = "7", unpack = true, exclude = ["**/*.pyc"] },
]
[images.i]
base = "scratch"
components = ["app"]
""")
        .images["i"]
        .components
    )
    wheel, conf, archive = component.files
    assert (wheel.source, wheel.to, wheel.mode, wheel.owner) == ("task:wheel", "/opt/wheels/", None, (0, 0))
    assert (conf.source, conf.to, conf.mode, conf.owner) == ("conf/*.toml", "/etc/app", 0o640, (1000, 50))
    assert (archive.owner, archive.unpack, archive.exclude) == ((7, 7), True, ("**/*.pyc",))
    assert conf.at == At("imgbake.toml", ("components", "app", "files", 1))


def test_how_an_image_is_run(recipes: Recipes) -> None:
    config = recipes.good("""
[images.i]
base = "scratch"
entrypoint = ["app", "serve"]
cmd = "echo $HOME"
env = { A = "1" }
user = 1000
workdir = "/srv"
ports = [80, "53/udp", "0443"]
volumes = ["/data"]
labels = { a = "b" }
annotations = { "org.opencontainers.image.title" = "T" }
stop_signal = "SIGINT"
[images.i.healthcheck]
test = "curl -f localhost"
interval = "1m"
timeout = 2.5
retries = 3
[images.j]
base = "scratch"
healthcheck = { test = ["check", "it"] }
[images.k]
base = "scratch"
healthcheck = { test = ["NONE"] }
""")
    assert config.images["i"].config == ImageConfig(
        entrypoint=("app", "serve"),
        cmd=("/bin/sh", "-c", "echo $HOME"),
        env={"A": "1"},
        user="1000",
        workdir="/srv",
        ports=("80/tcp", "53/udp", "443/tcp"),
        volumes=("/data",),
        labels={"a": "b"},
        annotations={"org.opencontainers.image.title": "T"},
        stop_signal="SIGINT",
        healthcheck=Healthcheck(("CMD-SHELL", "curl -f localhost"), 60.0, 2.5, 0.0, 3),
    )
    checks = [config.images[name].config.healthcheck for name in "jk"]
    assert [check.test for check in checks if check] == [("CMD", "check", "it"), ("NONE",)]


def test_the_target_that_needs_no_declaration(recipes: Recipes) -> None:
    target = recipes.good('[images.i]\nbase = "scratch"\n').targets["oci"]
    assert (target.uses, target.options.tags) == ("oci", ())
    declared = '[images.i]\nbase = "scratch"\n[targets.oci]\nuses = "oci"\ntags = ["t"]\nretries = 1\n'
    target = recipes.good(declared).targets["oci"]
    assert (target.options.tags, target.policy) == (("t",), Policy(None, 1))


def test_only_kinds_that_are_used_are_asked_for(recipes: Recipes) -> None:
    recipes.kinds.asked.clear()
    recipes.good('[tasks.a]\nrun = "x"\n')
    assert set(recipes.kinds.asked) == {"script"}


def test_values_of_arguments(recipes: Recipes) -> None:
    text = """
[args]
text = "t"
number = 8_080
ratio = 3.10
flag = true
given = { default = "d", help = "h", choices = ["d", "g"] }
env = { default = "d", env = "FROM_ENV" }
both = { env = "FROM_ENV" }
missing = {}
literal = '\\{{ x }}'
[tasks.a]
run = "{{ text }} {{ number }} {{ ratio }} {{ flag }} {{ given }} {{ env }} {{ both }} {{ literal }}"
[tasks.b]
run = "{{ missing }} {{ text }}"
"""
    read = recipes.good(text, {"given": "g", "both": "b"}, {"FROM_ENV": "e"})
    assert read.tasks["a"].options.run == "t 8080 3.10 true g e b {{ x }}"
    assert read.tasks["b"].args == ("missing", "text")
    assert read.tasks["b"].missing == ("missing",)
    assert read.args["missing"].value is None
    assert read.env_read == {"FROM_ENV": "e"}


def test_a_secret_is_nowhere_but_among_the_secrets(recipes: Recipes) -> None:
    text = """
[args]
token = { secret = true, env = "TOKEN" }
other = { secret = true, env = "OTHER" }
[components.c]
params = { key = "{{ token }}" }
build = ["login {{ params.key }}"]
[images.i]
base = "scratch"
components = [{ use = "c", key = "x{{token}}" }]
targets = ["v"]
[targets.v]
uses = "vm"
region = "{{ token }}"
[tasks.a]
run = "login {{  token  }} {{ other }}"
"""
    loaded = recipes.read(text, environ={"TOKEN": "hunter2", "OTHER": ""})
    assert not loaded.faults
    assert loaded.secrets == {"token": "hunter2"}
    assert "hunter2" not in repr(loaded.recipe)
    assert loaded.recipe.tasks["a"].options.run == "login {{ token }} {{ other }}"
    assert loaded.recipe.tasks["a"].missing == ("other",)
    assert loaded.recipe.images["i"].components[0].build == ("login x{{ token }}",)
    assert loaded.recipe.images["i"].args == ("token",)
    assert loaded.recipe.targets["v"].args == ("token",)
    assert not loaded.recipe.env_read


def test_a_recipe_with_faults_holds_what_could_be_understood(recipes: Recipes) -> None:
    loaded = recipes.read('[tasks.a]\nrun = 1\n[tasks.b]\nrun = "x"\n')
    assert [task.options is None for task in loaded.recipe.tasks.values()] == [True, False]
    assert len(loaded.faults) == 1


def test_an_empty_recipe_is_one(recipes: Recipes) -> None:
    assert recipes.good("").tasks == {}


def test_a_byte_order_mark_is_no_part_of_the_text(recipes: Recipes) -> None:
    assert list(recipes.good('\ufeff[tasks.a]\nrun = "x"\n').tasks) == ["a"]


def test_no_recipe(recipes: Recipes) -> None:
    with pytest.raises(UsageError, match=r"there is no recipe gone\.toml") as caught:
        recipe.read(Path("gone.toml"), given={}, environ={}, kinds=recipes.kinds)
    assert "imgbake init" in caught.value.hint
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        recipe.read(recipes.folder, given={}, environ={}, kinds=recipes.kinds)
    os.mkfifo("pipe")  # whoever opens it waits for somebody who writes
    for path in ("pipe", "/dev/zero"):
        with pytest.raises(UsageError, match="cannot be read: it is not a regular file"):
            recipe.read(Path(path), given={}, environ={}, kinds=recipes.kinds)


def test_text_that_is_not_utf_8(recipes: Recipes) -> None:
    (recipes.folder / "bad.toml").write_bytes("a = 'é".encode() + b"\xff'\n")
    loaded = recipe.read(Path("bad.toml"), given={}, environ={}, kinds=recipes.kinds)
    assert recipe.problems(loaded.faults, loaded.sources).render().startswith("bad.toml:1:7: the file is not")


def test_a_nul_character(recipes: Recipes) -> None:
    assert recipes.messages('[tasks.a]\nrun = "a\\u0000b"\n') == [
        "imgbake.toml:2:7: the text holds a NUL character"
    ]


@pytest.mark.parametrize("nested", ["a = " + "[" * 3000 + "]" * 3000, "[" + ".".join("a" * 2000) + "]"])
def test_deep_nesting(recipes: Recipes, nested: str) -> None:
    assert recipes.errors(nested)


def test_an_option_that_takes_a_key_of_the_core(recipes: Recipes) -> None:
    kinds = Kinds({"greedy": Greedy}, {})  # type: ignore[dict-item]  # less than a step, as recipes see it
    recipes.kinds = kinds
    with pytest.raises(PluginError, match="'greedy' has options that belong to the core: inputs"):
        recipes.read('[tasks.a]\nuses = "greedy"\n')


def test_no_target_is_installed(recipes: Recipes) -> None:
    recipes.kinds = Kinds({}, {})
    assert recipes.messages('[images.i]\nbase = "scratch"\n') == [
        "imgbake.toml: no plugin bakes 'oci', which images without targets use"
    ]


def test_a_damaged_cache_changes_nothing(recipes: Recipes) -> None:
    folder = recipes.folder / "parsed"
    text = '[tasks.a]\nrun = "x"\nretries = 1.5\n'
    first = recipes.read(text, parsed=folder)
    again = recipes.read(text, parsed=folder)
    assert first == again
    for path in folder.iterdir():
        path.write_bytes(b"")
    assert recipes.read(text, parsed=folder) == first


@pytest.mark.slow
def test_ten_thousand_tasks_are_read_fast(recipes: Recipes) -> None:
    lines = [
        f'[tasks.t{number}]\nrun = "cat {number}"\ninputs = ["in/{number}"]\noutputs = ["out/{number}"]\n'
        for number in range(10_000)
    ]
    text, folder = "".join(lines), recipes.folder / "parsed"
    recipes.read(text, parsed=folder)
    times = []
    for _ in range(5):
        start = time.process_time()
        assert len(recipes.read(text, parsed=folder).recipe.tasks) == 10_000
        times.append(time.process_time() - start)
    assert min(times) < 0.5, times
