"""A program on a terminal of its own, and whoever sits there."""

from __future__ import annotations

import os
import pty
import time
from pathlib import Path

_SECONDS = 30  # for a program to say something


class Terminal:
    """What is typed on it, and what is read."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(folder)
            os.execv(command[0], command)

    def says(self, until: bytes) -> bytes:
        """What is said up to these words."""
        said, last = b"", time.monotonic() + _SECONDS
        while until not in said and time.monotonic() < last:
            said += os.read(self._terminal, 4096)
        assert until in said, said
        return said

    def types(self, text: bytes) -> None:
        """Types something."""
        os.write(self._terminal, text)

    def ends(self) -> int:
        """Waits for the program's end, and returns its exit code."""
        _, status = os.waitpid(self._process, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)
