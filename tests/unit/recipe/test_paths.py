"""Paths in a recipe."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbake.model import At
from imgbake.recipe.faults import Fault
from imgbake.recipe.paths import in_image, in_project, one_in_project

AT = At("f", ("tasks", "a", "outputs"))


@pytest.mark.parametrize(
    ("path", "tidy"),
    [
        ("a/b.c", "a/b.c"),
        ("./a//b/", "a/b/"),
        ("a/../b", "b"),
        ("src/**/*.py", "src/**/*.py"),
        (".", "."),
        ("./", "."),
        (".hidden/..x/...", ".hidden/..x/..."),
        ("a/", "a/"),
    ],
)
def test_paths_in_the_project(path: str, tidy: str) -> None:
    faults: list[Fault] = []
    assert one_in_project(path, AT, "output", faults) == tidy
    assert not faults


@pytest.mark.parametrize("path", ["", "/", "/a", "..", "../a", "a/../../b", "a\\b", "*/../b"])
def test_paths_that_are_refused(path: str) -> None:
    faults: list[Fault] = []
    in_project(("fine", path), AT, "output", faults)
    assert [fault.at for fault in faults] == [AT / 1]


@pytest.mark.parametrize(
    ("path", "tidy"), [("/a/b", "/a/b"), ("/a/b/", "/a/b/"), ("//a/./b/.", "/a/b/"), ("/", "/"), ("/.", "/")]
)
def test_paths_in_an_image(path: str, tidy: str) -> None:
    faults: list[Fault] = []
    assert in_image(path, AT, faults) == tidy
    assert not faults


@pytest.mark.parametrize("path", ["", "a", "./a", "/a/../b", "/.."])
def test_paths_in_an_image_that_are_refused(path: str) -> None:
    faults: list[Fault] = []
    in_image(path, AT, faults)
    assert len(faults) == 1


@given(st.text(alphabet="a./\\*", max_size=12))
def test_nothing_leaves_the_project(path: str) -> None:
    faults: list[Fault] = []
    (tidy,) = in_project((path,), AT, "output", faults)
    if not faults:
        assert posixpath.normpath(path) == posixpath.normpath(tidy)
        assert posixpath.commonpath(["/project", posixpath.normpath(f"/project/{tidy}")]) == "/project"
