"""Entry points are those that Python's own way finds."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from imgbake import entry_points

LISTED = """
# a comment
[console_scripts]
tool = cells:main

[imgbake]
cell = cells
base-cell = cells.bases:hooks [extra]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def _install(site: Path, folder: str, listed: str = LISTED) -> None:
    (site / folder).mkdir()
    (site / folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Cells-Kit\nVersion: 1.2\n")
    (site / folder / "entry_points.txt").write_text(listed)


def _found() -> dict[str, tuple[str, str]]:
    return {each.name: (each.module, each.distribution) for each in entry_points.found("imgbake")}


def _by_python() -> dict[str, tuple[str, str]]:
    entries = importlib.metadata.entry_points(group="imgbake")
    return {
        each.name: (each.module, f"{each.dist.name} {each.dist.version}") for each in entries if each.dist
    }


def test_they_are_those_that_python_finds(site: Path) -> None:
    _install(site, "Cells_Kit-1.2.dist-info")
    found = _found()
    assert found == _by_python()
    assert found["cell"] == ("cells", "Cells-Kit 1.2")
    assert found["base-cell"] == ("cells.bases", "Cells-Kit 1.2")
    assert "script" in found  # our own are there too


def test_a_distribution_counts_where_it_is_first(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(site, "Cells_Kit-1.2.dist-info")
    nearer = site / "nearer"
    nearer.mkdir()
    monkeypatch.syspath_prepend(str(nearer))
    _install(nearer, "cells_kit-1.3.dist-info", "[imgbake]\nother = cells\n")
    assert _found() == _by_python()
    assert "other" in _found() and "cell" not in _found()


def test_those_in_a_zip_are_found(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = site / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("cells_kit-1.2.dist-info/METADATA", "Name: Cells-Kit\nVersion: 1.2\n")
        file.writestr("cells_kit-1.2.dist-info/entry_points.txt", LISTED)
    monkeypatch.syspath_prepend(str(packed))
    assert _found() == _by_python()
    assert "cell" in _found()
