from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from imgbake.testing.registry import Registry
from imgbake_oci.registry import Retries, Timeouts, client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Retries", lambda: Retries(attempts=4, first=0.01, longest=0.02))
    monkeypatch.setattr(client, "Timeouts", lambda: Timeouts(connect=5, stall=2, commit=5))


@pytest.fixture
def make() -> Iterator[Callable[..., Registry]]:
    """Starts a registry, with the arguments of `Registry`."""
    with ExitStack() as stack:

        def start(**how: Any) -> Registry:
            return stack.enter_context(Registry(**how))

        yield start


@pytest.fixture
def one(make: Callable[..., Registry]) -> Registry:
    return make(referrers=True, deletes=True)


@pytest.fixture
def other(make: Callable[..., Registry]) -> Registry:
    return make(referrers=True, deletes=True)
