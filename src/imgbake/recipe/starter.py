"""What `imgbake init` writes: a recipe that bakes at once, without a network or a daemon."""

from __future__ import annotations

import re

from imgbake.recipe.names import LONGEST

_RECIPE = """\
# imgbake.toml: what is made, and of what.
#
#   imgbake plan     what would run, and why
#   imgbake build    bakes the image; run it twice
#   imgbake explain image:{name}@oci

[project]
name = "{name}"

# Arguments are read as {{{{ name }}}} and given with --arg name=value.
[args]
greeting = {{ default = "Hello", help = "What the page says" }}

# A task makes files. It runs again when its command, an input or an argument has changed.
[tasks.page]
run = \'\'\'
mkdir -p build
echo "<h1>{{{{ greeting }}}} from {name}</h1>" > build/index.html
\'\'\'
outputs = ["build/index.html"]

# A component is written once and used by any number of images. Each becomes one layer.
[components.page]
files = [{{ from = "task:page", to = "/srv/www/" }}]

# An image is a base and components. "scratch" is the empty base; a reference such as
# "registry.example.com/python:3.12" is pulled from its registry.
[images.{name}]
base = "scratch"
components = ["page"]
workdir = "/srv/www"
labels = {{ "org.opencontainers.image.title" = "{name}" }}
"""
_IGNORED = ".imgbake/\nbuild/\n"


def files(name: str) -> dict[str, str]:
    """The files of a new project by their path in it. `name` is its folder's name."""
    return {"imgbake.toml": _RECIPE.format(name=_as_name(name)), ".gitignore": _IGNORED}


def _as_name(text: str) -> str:
    """The nearest name that a table's header may hold as it is."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("_-").lower()[:LONGEST] or "app"
