"""Where the store is, from the environment. A copy with nothing to do asks for no more, so this imports
nothing heavy."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes longer to import than what follows
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """IMGBAKE_CACHE_DIR, else the folder "imgbake" in the user's cache (XDG base directory spec)."""
    from pathlib import Path

    return Path(cache_folder(environ))


def cache_folder(environ: Mapping[str, str] = os.environ) -> str:
    """The same as text."""
    if chosen := environ.get("IMGBAKE_CACHE_DIR"):
        return os.path.abspath(os.path.expanduser(chosen))
    cache = environ.get("XDG_CACHE_HOME", "")
    # The spec has relative paths ignored.
    return f"{cache if cache.startswith('/') else os.path.expanduser('~/.cache')}/imgbake"
