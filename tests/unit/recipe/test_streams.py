"""[streams] of a recipe: what is read, and what is wrong with it, with its place."""

from __future__ import annotations

import pytest

from imgbake.streams.model import Intent
from imgbake.testing.recipes import Recipes

IMAGE = '[components.a]\nbuild = ["true"]\n\n[images.shop]\nbase = "scratch"\n'


def test_what_is_read(recipes: Recipes) -> None:
    recipe = recipes.good("""
    [args]
    version = "3.12"

    [project]
    name = "shop"
    streams = "bucket://shop/streams"

    [streams.python]
    repository = "registry.example.com/python"
    labels = { app = "python" }

    [streams.python.tags."3.12"]
    from = "docker.io/library/python:{{ version }}"
    every = 90
    platform = "linux/arm64"
    reference_policy = "local"

    [streams.python.tags.latest]
    alias = "3.12"

    [streams.python.tags.disk]
    from = "disk:newest"
    cron = "@daily"

    [streams.python.tags.other]
    from = { disk = "newest" }

    [streams.python.tags.copy]
    from = "stream:ruby@2816"

    [streams.python.tags.by-hand]
    """)
    assert recipe.shelf == "bucket://shop/streams"
    stream = recipe.streams["python"]
    assert (stream.repository, stream.labels) == ("registry.example.com/python", {"app": "python"})
    python = "docker.io/library/python:3.12"
    assert stream.tags == {
        "3.12": Intent(python, every="90s", platform="linux/arm64", policy="local"),
        "latest": Intent(alias="3.12"),
        "disk": Intent("newest", "disk", cron="@daily"),
        "other": Intent("newest", "disk"),
        "copy": Intent("stream:ruby@2816"),
        "by-hand": Intent(),
    }


def test_a_fault_is_shown_with_its_place(recipes: Recipes) -> None:
    recipe = """\
[streams.python.tags."3.12"]
from = "docker.io/library/python:3.12"
evry = "15m"
"""
    shown = """\
imgbake.toml:3:1: unknown key 'evry' in streams.python.tags."3.12"
 3 | evry = "15m"
   | ^^^^
  hint: did you mean 'every'?

1 error in the recipe"""
    assert recipes.errors(recipe) == shown


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('[streams.Python.tags.a]\nfrom = "b"', "1:10: 'Python' can't be the name of a stream"),
        ('[streams.python.tags."a b"]\nfrom = "b"', "1:22: 'a b' can't be a tag"),
        ('[streams.python.tags.a]\nfrom = "b"\nevery = "soon"', "3:9: 'soon' is not a duration"),
        ('[streams.python.tags.a]\nfrom = "b"\nevery = 0', "3:9: '0' is too often"),
        ('[streams.python.tags.a]\nfrom = "b"\ncron = "61 * * * *"', "3:8: '61 * * * *' is no time"),
        ('[streams.python.tags.a]\nevery = "1h"', "2:1: what is not imported has no `every`"),
        ('[streams.python.tags.a]\nfrom = "b"\nevery = "1h"\ncron = "@daily"', "4:1: `every` and `cron`"),
        ('[streams.python.tags.a]\nfrom = "b"\nreference = true\ncron = "@daily"', "4:1: what is not"),
        ("[streams.python.tags.a]\nreference = true", "2:1: there is nothing to refer to"),
        ('[streams.python.tags.a]\nalias = "b"', "2:9: there is no tag of 'python' 'b'"),
        ('[streams.python.tags.a]\nalias = "a"\nfrom = "b"', "2:1: a tag that follows another has no `from`"),
        ('[streams.python.tags.a]\nfrom = "stream:ruby"', "2:8: 'stream:ruby' names no tag"),
        ('[streams.python.tags.a]\nfrom = "stream:Ruby:1"', "2:8: 'stream:Ruby:1': 'Ruby' can't be"),
        ('[streams.python.tags.a]\nfrom = { disk = "b", container = "c" }', "2:8: a tag points to one kind"),
        ('[streams.python.tags.a]\nfrom = { disk = { a = "b" } }', "2:17: a source of the kind 'disk' is"),
        ('[streams.python.tags.a]\nfrom = "b"\nimage = "b:1"', "3:9: 'b:1' has no digest"),
        ('[streams.python.tags.a]\nfrom = "b"\nreference_policy = "none"', '3:20: '),
        ('[project]\nstreams = "buckt://a"', "2:11: no plugin keeps streams at buckt://"),
        (f'{IMAGE}stream = "shop"', "6:10: 'shop' names no tag"),
        (f'{IMAGE}stream = "Shop:1"', "6:10: 'Shop:1': 'Shop' can't be the name of a stream"),
        (f'{IMAGE}stream = {{ vm = "shop:1" }}', "6:12: the image has no target 'vm'"),
        (f'{IMAGE}stream = "shop:1"\n[streams.shop.tags.1]\nfrom = "b"', "6:10: [streams.shop] says already"),
        (
            f'{IMAGE}stream = "shop:1"\n[images.other]\nbase = "scratch"\nstream = "shop:1"',
            "9:10: the image 'shop' moves 'shop:1', too",
        ),
        ('[images.shop]\nbase = "stream:python"', "2:8: 'stream:python' names no tag"),
        ('[images.shop]\nbase = "stream:Python:1"', "2:8: 'stream:Python:1': 'Python' can't be the name"),
    ],
)  # fmt: skip
def test_what_is_wrong(recipes: Recipes, lines: str, message: str) -> None:
    assert f"imgbake.toml:{message}" in recipes.errors(lines + "\n")


def test_an_image_of_several_targets_says_which_one_a_tag_follows(recipes: Recipes) -> None:
    targets = '[targets.vm]\nuses = "vm"\nregion = "a"\n'
    image = '[images.shop]\nbase = { container = "a", machine = "b" }\ntargets = ["oci", "vm"]\n'
    assert "the image has several targets" in recipes.errors(targets + image + 'stream = "shop:1"\n')
    tagged = recipes.good(targets + image + 'stream = { oci = "shop:1", vm = "shop-vm:1" }\n')
    assert tagged.images["shop"].streams == {"oci": "shop:1", "vm": "shop-vm:1"}


def test_secrets_are_refused(recipes: Recipes) -> None:
    recipe = '[args]\nkey = { secret = true }\n[streams.a.tags.b]\nfrom = "c:{{ key }}"\n'
    assert "the secret argument 'key' cannot be used in a stream" in recipes.errors(recipe, {"key": "x"})


def test_plain_names_mean_streams_that_say_so(recipes: Recipes) -> None:
    recipe = recipes.good("""
    [streams.python]
    lookup = true
    [streams.ruby]
    [images.a]
    base = "python:3.12"
    [images.b]
    base = "ruby:3"
    [images.c]
    base = "python@2816"
    """)
    bases = {name: image.base[""] for name, image in recipe.images.items()}
    assert bases == {"a": "stream:python:3.12", "b": "ruby:3", "c": "stream:python@2816"}
