"""`imgbake args` on images that are Dockerfiles."""

from __future__ import annotations

import json

import pytest

from imgbake.testing.project import Project

DOCKERFILE = """\
ARG VERSION=1
FROM scratch AS build
ARG WHO
ARG HTTP_PROXY
LABEL who=$WHO
FROM build
ARG VERSION
ARG COLOR=red
LABEL v=$VERSION c=$COLOR
"""


@pytest.fixture
def shop(project: Project) -> Project:
    project.write("app/Dockerfile", DOCKERFILE)
    project.recipe(
        """
        [targets.engine]
        uses = "docker"
        [images.shop]
        dockerfile = "app/Dockerfile"
        build_args = { COLOR = "blue" }
        targets = ["engine"]
        """
    )
    return project


def test_every_argument_is_listed_with_stage_default_and_value(shop: Project) -> None:
    ran = shop.run("args", "shop", "--format", "json")
    assert ran.code == 0, ran.stderr
    found = {each["name"]: each for each in json.loads(ran.stdout) if each["given"] or each["needed"]}
    assert "HTTP_PROXY" not in found
    assert (
        found["WHO"]["needed"] and found["WHO"]["at"] == "app/Dockerfile:3" and "build" in found["WHO"]["of"]
    )
    assert (found["COLOR"]["value"], found["COLOR"]["default"], found["COLOR"]["from"]) == (
        "blue",
        "red",
        "recipe",
    )
    assert found["VERSION"]["value"] == "1" and found["VERSION"]["from"] == "default"
    assert "needed" in next(line for line in shop.run("args").stdout.splitlines() if line.startswith("WHO"))


def test_what_is_saved_is_listed(shop: Project) -> None:
    assert shop.run("args", "shop", "--arg", "WHO=me", "--save").code == 0
    line = next(line for line in shop.run("args").stdout.splitlines() if line.startswith("WHO"))
    assert line.split()[-3:-1] == ["me", "given"]
