"""Lock files, which say who uses what and are let go of by a process however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def locked(path: Path, how: int) -> int | None:
    """Opens a lock file with this lock, for the caller to close. None while another has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(lock).st_ino:  # else it was removed in the meantime
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
