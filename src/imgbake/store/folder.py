"""Where the store is, from the environment. A copy with nothing to do asks for no more, so this imports
nothing heavy."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes longer to import than what follows
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NO_HOME = "/nonexistent"  # Debian's home of users who have none


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """IMGBAKE_CACHE_DIR, else the folder "imgbake" in the user's cache (XDG base directory spec)."""
    from pathlib import Path

    return Path(cache_folder(environ))


def cache_folder(environ: Mapping[str, str] = os.environ) -> str:
    """The same as text."""
    if chosen := environ.get("IMGBAKE_CACHE_DIR"):
        return os.path.abspath(os.path.expanduser(chosen))
    cache = environ.get("XDG_CACHE_HOME", "")
    if not cache.startswith("/"):  # the spec has relative paths ignored
        cache = os.path.expanduser("~/.cache")
    if cache.startswith("~"):  # neither $HOME nor the system's list of users says where that is
        cache = f"{_NO_HOME}/.cache"
    return f"{cache}/imgbake"
