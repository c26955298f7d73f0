"""Sandboxes for tests, once for each identity that can be had here."""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgbake_sandbox import removal
from imgbake_sandbox.identity import candidates
from imgbake_sandbox.tests import bases, people
from imgbake_sandbox.tests.sandboxes import BUSYBOX, Sandbox, as_ordinary, as_ourselves, as_root


@pytest.fixture(scope="session")
def places() -> Iterator[Callable[[], Path]]:
    """Makes folders that every user may enter; pytest's are the own user's alone."""
    made: list[Path] = []

    def place() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="imgbake-sandbox-")))
        made[-1].chmod(0o755)
        return made[-1]

    yield place
    for path in made:
        removal.remove_path(path)


@pytest.fixture(scope="session")
def ordinary() -> Iterator[pwd.struct_passwd]:
    """A user with subordinate ids, made by root for the time of the tests."""
    with people.with_subordinate_ids() as user:
        yield user


@pytest.fixture(params=["root", "root without a user namespace", "subordinate", "single"])
def sandbox(request: pytest.FixtureRequest, places: Callable[[], Path]) -> Sandbox:
    """A sandbox of each identity that can be had here."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    if request.param.startswith("root"):
        return as_root(request.param, places())
    if os.geteuid() != 0:
        return as_ourselves(request.param, places())
    return as_ordinary(request.param, places(), request.getfixturevalue("ordinary"))


@pytest.fixture
def one_sandbox(places: Callable[[], Path]) -> Sandbox:
    """A sandbox of the best identity, for what is the same for all."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    return Sandbox(places(), next(candidates()), sys.executable, None)


@pytest.fixture(scope="session")
def sandbox_base(places: Callable[[], Path]) -> Path:
    """A layer with busybox, and files of several owners."""
    if not BUSYBOX:
        pytest.skip("busybox is not installed")
    return bases.write(places() / "base.tar")
