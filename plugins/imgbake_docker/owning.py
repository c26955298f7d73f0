"""Whose something on an engine is: a project's, which is a folder of a machine, and a process's.

What nobody wants any more was left by one of us who was killed.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path


def project(root: Path) -> str:
    """Stands for the project in a folder of this machine."""
    return hashlib.sha256(f"{socket.gethostname()}\0{root}".encode()).hexdigest()[:32]


def process() -> str:
    """Stands for this process."""
    return _process(os.getpid())


def is_wanted(process: str) -> bool:
    """Does the process still run that this stands for?"""
    number = process.partition(" ")[0]
    return number.isdigit() and process == _process(int(number))


def _process(number: int) -> str:
    """A process by its number and when it was started, since numbers come again (proc(5))."""
    try:
        said = Path(f"/proc/{number}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return f"{number} {said.rpartition(')')[2].split()[19]}"
