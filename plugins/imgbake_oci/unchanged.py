"""Is a file's content still what it was when the build took its fingerprint?

To know it, the content would have to be hashed again, which is a fifth of the work of making a layer.
But this very process has compared every file with what was remembered of it. A file whose change time
lies before the start of the process has not been written since, for nobody can set a change time; only
younger files are hashed, which are few. git tells unchanged files by the same reasoning.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import cache
from pathlib import Path

from imgbake.api import Entry, StepError
from imgbake.api import digest as digests

_SLACK_NS = 3_000_000_000  # file systems may keep times in steps of two seconds


@cache
def trusted_before() -> int:
    """Files that changed before this time (nanoseconds since 1970) need not be hashed.

    It is 0 where the start of this process is not known.
    """
    try:
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc(5): starttime, the 22nd field
        running = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
    return time.time_ns() - int(running * 1e9) - _SLACK_NS


def check_archive(root: Path, entry: Entry) -> Path:
    """The path of a file that is about to be read more than once, after a look at its content.

    Raises StepError when it is not what it was.
    """
    path = root / entry.source
    try:
        stat = path.stat()
        if stat.st_ctime_ns < trusted_before() and stat.st_size == entry.size:
            return path
        found = digests.of_file(path)
    except OSError as error:
        raise unreadable(entry.source, error) from error
    if found != entry.digest:
        raise changed(entry.source)
    return path


def is_content(hashed: hashlib._Hash, digest: str) -> bool:
    """Does what was hashed have this digest? Nobody can tell when there is none."""
    return not digest or f"sha256:{hashed.hexdigest()}" == digest


def changed(source: str) -> StepError:
    """The error for a file that is not what it was."""
    return StepError(f"'{source}' changed while it was read", hint="build again")


def unreadable(source: str, error: OSError) -> StepError:
    """The error for a file that can't be opened or read."""
    return StepError(f"'{source}' can't be read: {error.strerror}")
