from __future__ import annotations

from pathlib import Path

import pytest
from blueprints import blueprint, file, layer
from imgbake_squashfs.target import Squashfs, SquashfsOptions

from imgbake.api import BakeError, Entry, ImageConfig, Layer

GOLDEN = Path(__file__).parent / "golden"


def lower(*layers, options=None, **more):
    return Squashfs(options or SquashfsOptions()).lower(blueprint(*layers, **more)).documents


def test_an_image_is_lowered_to_a_pseudo_file():
    layers = (
        layer("/usr/bin/", file("tool", 0o4755), Entry("alias", "symlink", 0o777, "tool")),
        layer("/srv/", file("a b"), file('say "hi"'), file("back\\slash"), owner=(1000, 100)),
    )
    options = SquashfsOptions(compression="zstd", level=19, block_size=1 << 20)
    assert lower(*layers, options=options) == {"root.pseudo": (GOLDEN / "root.pseudo").read_text()}


def test_variables_become_a_file_where_the_recipe_wants_them():
    options = SquashfsOptions(environment_file="/etc/environment")
    config = ImageConfig(env={"MODE": "production"})
    documents = lower(Layer("app", env={"MODE": "debug", "HOME": "/srv"}), options=options, config=config)
    assert documents["environment"] == "HOME=/srv\nMODE=production\n"
    assert documents["root.pseudo"].splitlines()[1:] == ["etc m 0755 0 0", "etc/environment m 0644 0 0"]


@pytest.mark.parametrize(
    ("layers", "more", "message"),
    [
        ([], {"config": ImageConfig(entrypoint=("sh",))}, "says `entrypoint`, for which a file system"),
        ([], {"config": ImageConfig(ports=("80",))}, "says `ports`"),
        ([], {"base": "image:other"}, "can't stand on another image"),
        ([Layer("app", env={"A": "b"})], {}, "sets A, and a file system has no variables"),
        ([layer("/", file("a.zip"), unpack=True)], {}, "can't `unpack` archives"),
        ([layer("/", file("a\nb"))], {}, "holds a line break"),
    ],
)
def test_what_a_file_system_cannot_say_is_refused(layers, more, message):
    with pytest.raises(BakeError, match=message) as caught:
        lower(*layers, **more)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "xz", "level": 3}, "xz has none"),
        ({"compression": "gzip", "level": 10}, "gzip knows 1 to 9"),
        ({"block_size": 5000}, "no power of two"),
        ({"environment_file": "etc/environment"}, "begins with a slash"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SquashfsOptions(**options)
