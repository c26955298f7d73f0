"""A bench for each test of the built-in tasks; nothing of this machine or of another test matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgbake_tasks import git_remote, retry
from imgbake_tasks.tests.taskbench import Bench


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
    git_remote.forget()
    yield
    git_remote.forget()
