"""ECR on this computer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from imgbake.testing.registry import Registry
from imgbake_regions.tests.conftest import account as account
from imgbake_regions.tests.conftest import amazon as amazon
from imgbake_regions.tests.projects import Account
from tests.services.amazon import EcrRegistry


@pytest.fixture
def ecr(account: Account) -> Iterator[Callable[..., EcrRegistry]]:
    """Starts a registry of ECR in a region."""
    with ExitStack() as stack:

        def start(region: str, **more: str) -> EcrRegistry:
            behind = stack.enter_context(Registry())
            return account.cloud.registry(behind.host, region, **more)

        yield start
