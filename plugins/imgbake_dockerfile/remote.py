"""Sources of ADD that are no files of the context: URLs and git repositories."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PROTOCOL = re.compile(r"([a-zA-Z0-9]+)://")
_SSH = re.compile(r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:[^\n]*")


def is_remote(source: str) -> bool:
    """Is this a URL, or does it name a git repository as BuildKit understands it?

    `git@host:path`, `git://…`, `ssh://…`, and what starts with `http://` or `https://`. Other
    protocols are the names of files, odd as they look, and so is `github.com/owner/name`.
    """
    protocol = _PROTOCOL.match(source)
    if protocol is None:
        return _SSH.fullmatch(source) is not None
    if source.startswith(("http://", "https://")):
        return True
    return protocol[1].lower() in ("git", "ssh", "http", "https") and _is_url(source)


def _is_url(source: str) -> bool:
    try:
        address = urlsplit(source)
    except ValueError:
        return False
    return address.scheme in ("git", "ssh") or address.path.endswith(".git")
