from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imgbake.testing.registry import Registry
from imgbake_oci import reference
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, Credentials, Retries, Timeouts, Tls

QUICK = Retries(attempts=4, first=0.01, longest=0.02, longest_asked=5)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    """Makes clients that know nothing of this machine and lose patience soon."""
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        isolated = {"credentials": Credentials(()), "tls": Tls(), "retries": QUICK}
        made.append(Client(**{**isolated, "timeouts": Timeouts(connect=5, stall=5), **settings}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture
def hasty(make_client: Callable[..., Client]) -> Client:
    """A client that takes half a second of silence for a stall."""
    return make_client(timeouts=Timeouts(stall=0.5, commit=0.5))


@pytest.fixture
def at(registry: Registry) -> Callable[[str], Reference]:
    """The reference of an image in the registry: at("shop:1")."""
    return lambda image: reference.parse(registry.name(image))
