"""Files that a user wrote, read whole."""

from __future__ import annotations

import errno
from pathlib import Path


def read_file(path: Path) -> bytes:
    """What is in a file. Raises OSError, also for a pipe or a device: reading it may never end, and can't
    be stopped."""
    if path.is_fifo() or path.is_char_device():
        raise OSError(errno.EINVAL, "it is not a regular file")
    return path.read_bytes()
