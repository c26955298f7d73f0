"""The service with a clock that stands still, and an account at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.image_builder import ImageBuilder, ManualClock
from tests.services.image_builder.tests.samples import Samples


@pytest.fixture
def service() -> Iterator[ImageBuilder]:
    with ImageBuilder(clock=ManualClock()) as emulator:
        yield emulator


@pytest.fixture
def account(service: ImageBuilder) -> Samples:
    return Samples(service.client())
