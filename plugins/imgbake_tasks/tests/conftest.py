"""Lets the tests of the built-in tasks import their bench, and run quickly."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_tasks import git_remote, retry

sys.path.append(str(Path(__file__).parent))

from taskbench import Bench  # found by the line above


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    root = tmp_path / "project"
    root.mkdir()
    return Bench(root)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """What one test asked a git repository must not answer another."""
    git_remote._newest.clear()
    yield
    git_remote._newest.clear()
