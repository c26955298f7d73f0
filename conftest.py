"""What every test gets: a world of its own, and the switch for slow tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from imgbake.testing.project import Project

settings.register_profile("untimed", deadline=None)  # a busy machine is no reason to fail
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--slow`."""
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips slow tests unless they are asked for, or everything is."""
    if config.getoption("--slow") or os.environ.get("IMGBAKE_REQUIRE_SERVICES") == "1":
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the user's cache, settings, colours or server."""
    for name in list(os.environ):
        if name.startswith(("IMGBAKE_CACHE", "XDG_", "SOURCE_DATE_EPOCH", "NO_COLOR", "DOCKER_CONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project to write a recipe into and to run imgbake in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
