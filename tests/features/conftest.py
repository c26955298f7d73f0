"""Images with commands, on a base that is baked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbake.testing import busybox
from imgbake_sandbox import emulation
from imgbake_sandbox.identity import candidates


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of a base with busybox."""
    try:
        return busybox.bake(tmp_path_factory.mktemp("busybox"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def other_users() -> None:
    """Skips where who runs the tests has no ids for users besides root."""
    if next(candidates()).kind == "single":
        pytest.skip("needs subordinate ids: see subuid(5)")


@pytest.fixture
def no_emulators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing runs programs for other processors here, whatever this machine has registered."""
    monkeypatch.setattr(emulation, "HANDLERS", tmp_path / "no emulators")


@pytest.fixture
def app(tmp_path: Path, base: Path) -> busybox.OnBusybox:
    """An empty project to write components into."""
    folder = tmp_path / "app"
    folder.mkdir()
    return busybox.OnBusybox(folder, base)
