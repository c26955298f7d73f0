"""`imgbake cache`: the content store, and what runners keep beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from imgbake import plugins
from imgbake.contract import Runner
from imgbake.engine import runners
from imgbake.store.store import Store


def held_by_runners(store: Store) -> int:
    """How many bytes runners keep: extracted layers, and the caches of components."""
    return sum(runner.usage() for runner in _runners(store))


def gc(store: Store, limit: int, older_than: float | None) -> tuple[int, int]:
    """Removes what was not used for `older_than` seconds, then what was used least recently until no more
    than `limit` bytes are left. Runners may keep what the store leaves room for.

    Returns how many things were removed, and how many bytes they held.
    """
    number, size = store.gc(limit, older_than)
    left = store.usage()
    room = max(0, limit - left.blob_bytes - left.record_bytes)
    since = 0.0 if older_than is None else time.time() - older_than
    for runner in _runners(store):
        more, held = runner.gc(room, since)
        number, size = number + more, size + held
    return number, size


def clear(store: Store) -> None:
    """Removes everything but what runners are using."""
    for runner in _runners(store):
        runner.gc(0, time.time())
    store.clear()


def _runners(store: Store) -> Iterator[Runner]:
    return runners.used(plugins.installed(), store.folder)
