"""How a component's commands run: what a recipe may say, and how each mistake is told."""

from __future__ import annotations

import pytest

from imgbake.model import CacheFolder, Setup
from imgbake.testing.recipes import Recipes

IMAGE = """
[images.i]
base = "scratch"
targets = ["t"]
components = ["a"]

[targets.t]
uses = "vm"
region = "x"
"""


def setup(recipes: Recipes, lines: str, more: str = "") -> Setup:
    """The setup of a component with these lines."""
    recipe = recipes.good(
        f"{more}[components.a]\n{lines}\n{IMAGE}", {"token": "x"} if "token" in more else {}
    )
    return recipe.images["i"].components[0].setup


def mistake(recipes: Recipes, line: str, more: str = "") -> str:
    """The only error of a recipe whose component has this line."""
    text = recipes.errors(f"[components.a]\n{line}\n{more}{IMAGE}")
    assert text.endswith("1 error in the recipe"), text
    return text


def test_all_that_can_be_said(recipes: Recipes) -> None:
    found = setup(
        recipes,
        """
        user = "app:staff"
        workdir = "/srv/./app/"
        shell = ["/bin/bash", "-euc"]
        caches = ["/var/cache/apt/", { path = "/root/.cache", shared = true }]
        secrets = ["token"]
        network = "none"
        timeout = "1m30s"
        limits = { memory = "1.5GiB", cpus = 1.5, processes = 100 }
        """,
        "[args]\ntoken = { secret = true }\n",
    )
    assert found == Setup(
        user="app:staff",
        workdir="/srv/app",
        shell=("/bin/bash", "-euc"),
        caches=(CacheFolder("/var/cache/apt"), CacheFolder("/root/.cache", True)),
        secrets=("token",),
        network="none",
        timeout=90,
        memory=3 << 29,
        cpus=1.5,
        processes=100,
    )


def test_nothing_needs_to_be_said(recipes: Recipes) -> None:
    assert setup(recipes, "") == Setup()


def test_parameters_and_arguments_are_put_in(recipes: Recipes) -> None:
    found = setup(
        recipes,
        'params = { who = "app" }\nuser = "{{ params.who }}"\nworkdir = "/home/{{ params.who }}"\n'
        'caches = ["/home/{{ params.who }}/.cache"]\ntimeout = "{{ wait }}"\n',
        '[args]\nwait = "5m"\n',
    )
    assert found == Setup("app", "/home/app", caches=(CacheFolder("/home/app/.cache"),), timeout=300)


def test_memory_may_be_a_number_of_bytes(recipes: Recipes) -> None:
    assert setup(recipes, "limits = { memory = 100_000_000 }").memory == 100_000_000


@pytest.mark.parametrize(
    ("line", "place", "message", "hint"),
    [
        (
            'secrets = ["tokn"]',
            "2:12",
            "there is no secret argument 'tokn'",
            "[args] tokn = { secret = true }",
        ),
        ('caches = ["var/cache"]', "2:11", "'var/cache' is not an absolute path", 'write "/var/cache"'),
        ('caches = [{ path = "x" }]', "2:20", "'x' is not an absolute path", 'write "/x"'),
        ('caches = ["/a/../b"]', "2:11", "'/a/../b' has a '..' in it", "write the path without it"),
        ('caches = ["/"]', "2:11", "'/' can't be a cache", ""),
        ('caches = ["/proc/x"]', "2:11", "'/proc/x' can't be a cache", "/proc"),
        ('caches = ["/dev"]', "2:11", "'/dev' can't be a cache", "/dev"),
        ('caches = ["/run/secrets"]', "2:11", "'/run/secrets' can't be a cache", "/run/secrets"),
        ('caches = ["/c", "/c/"]', "2:17", "'/c/' is already a cache of this component", ""),
        ('caches = [""]', "2:11", "'' is not an absolute path", "it begins with a slash"),
        ("caches = [{ shared = true }]", "2:", "path", ""),
        ('caches = [{ path = "/c", share = true }]', "2:26", "share", "shared"),
        ('workdir = "srv"', "2:11", "'srv' is not an absolute path", 'write "/srv"'),
        ("shell = []", "2:", "shell", ""),
        ('shell = "/bin/sh -c"', "2:9", "shell", ""),
        ('shell = [""]', "2:10", "shell", ""),
        ('timeout = "soon"', "2:11", "soon", "90"),
        ("timeout = 0", "2:11", "0", ""),
        ("timeout = -5", "2:11", "-5", ""),
        ('network = "bridge"', "2:11", "bridge", "host"),
        ('user = ""', "2:8", "user", ""),
        ("user = 1000", "2:8", "user", ""),
        ('limits = { memory = "lots" }', "2:21", "can't be 'lots'", "500MiB"),
        ("limits = { memory = 0 }", "2:21", "memory", ""),
        ("limits = { memory = -1 }", "2:21", "memory", ""),
        ('limits = { memory = "0" }', "2:21", "memory", ""),
        ("limits = { cpus = 0 }", "2:19", "cpus", ""),
        ('limits = { cpus = "2" }', "2:19", "cpus", ""),
        ("limits = { processes = 0 }", "2:24", "processes", ""),
        ("limits = { process = 5 }", "2:12", "process", "processes"),
        ("secret = []", "2:1", "secret", "secrets"),
        ('build = "echo \\u0000"', "2:9", "NUL", "no file, command"),
        ('env = { "A=B" = "x" }', "2:9", "A=B", ""),
    ],
)
def test_a_mistake_is_told_with_its_place(
    recipes: Recipes, line: str, place: str, message: str, hint: str
) -> None:
    text = mistake(recipes, line)
    assert text.startswith(f"imgbake.toml:{place}"), text
    assert message in text.splitlines()[0], text
    assert not hint or hint in text.partition("hint: ")[2], text


def test_an_argument_that_is_no_secret_is_none(recipes: Recipes) -> None:
    text = mistake(recipes, 'secrets = ["version"]', '[args]\nversion = "1"\n')
    assert "there is no secret argument 'version'" in text
    assert "secret = true" in text.partition("hint: ")[2]


def test_a_misspelt_secret_is_suggested(recipes: Recipes) -> None:
    text = mistake(recipes, 'secrets = ["tokn"]', "[args]\ntoken = { secret = true }\n")
    assert "did you mean 'token'?" in text


def test_a_secret_twice(recipes: Recipes) -> None:
    text = mistake(recipes, 'secrets = ["token", "token"]', "[args]\ntoken = { secret = true }\n")
    assert text.startswith("imgbake.toml:2:21: ") and "'token'" in text.splitlines()[0]


@pytest.mark.parametrize("key", ["user", "workdir", "shell", "caches"])
def test_a_secret_is_nothing_that_is_kept(recipes: Recipes, key: str) -> None:
    value = '["/{{ token }}"]' if key in ("shell", "caches") else '"/{{ token }}"'
    text = mistake(recipes, f"{key} = {value}", "[args]\ntoken = { secret = true }\n")
    assert "token" in text.splitlines()[0], text


@pytest.mark.parametrize("to", ["/c", "/c/", "/c/a/b"])
def test_nothing_is_copied_to_where_a_cache_hides_it(recipes: Recipes, to: str) -> None:
    recipes.write("f", "x")
    line = f'files = [{{ from = "f", to = "{to}" }}]\ncaches = ["/c"]'
    text = mistake(recipes, f'{line}\nbuild = "true"')
    assert text.startswith("imgbake.toml:2:29: ") and f"'{to}' is in the cache '/c'" in text
    assert setup(recipes, line).caches == (CacheFolder("/c"),)  # nothing hides it where nothing runs


def test_several_mistakes_are_told_at_once(recipes: Recipes) -> None:
    text = recipes.errors(f'[components.a]\ncaches = ["x"]\nworkdir = "y"\nsecrets = ["z"]\n{IMAGE}')
    assert text.endswith("3 errors in the recipe")
