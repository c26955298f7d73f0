"""Files on their way into the store."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from imgbake.api import Blobs


@contextlib.contextmanager
def unfinished(blobs: Blobs, kind: str) -> Iterator[Path]:
    """A path for a file that the block writes and hands to the store with `adopt`.

    The file is removed if the block fails. After `adopt` it belongs to the store, which moves it when
    it likes.
    """
    path = blobs.scratch() / f"{kind}-{secrets.token_hex(8)}"
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise
