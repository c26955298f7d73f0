"""Where a server listens: a socket in a folder that nobody else may enter.

Every command with something to do looks, and mostly nobody serves: so nothing heavy is imported.
"""

from __future__ import annotations

import os
import stat
import sys

from imgbake import __version__

try:
    from _blake2 import blake2b
except ImportError:  # a Python that takes all digests from elsewhere
    from hashlib import blake2b


def address() -> str:
    """The path of the socket: one for each user and installation."""
    return f"{folder()}/{_installation()}"


def folder() -> str:
    """The folder of a user's sockets."""
    place = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{place}/imgbake" if place.startswith("/") else f"/tmp/imgbake-{os.geteuid()}"


def is_served() -> bool:
    """Is a socket there? Whether anybody listens is seen when it is asked."""
    return is_ours() and os.access(address(), os.W_OK)


def is_ours() -> bool:
    """Is the folder of sockets there, and may nobody else enter it?"""
    try:
        found = os.lstat(folder())
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _installation() -> str:
    """What makes two processes the same program: our version, Python's, and where it finds modules."""
    encoding = sys.getfilesystemencoding()
    program = (__version__, sys.version, sys.prefix, sys.path[1:], tuple(sys.flags), encoding)
    return blake2b(repr(program).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
