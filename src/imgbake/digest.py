"""Content digests, written as OCI writes them: `sha256:<64 hex digits>` (image-spec, descriptor.md)."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def of_bytes(data: bytes) -> str:
    """The digest of these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def of_file(path: str | Path) -> str:
    """The digest of a file's content, read in pieces.

    Raises OSError when it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= CHUNK:
            return of_bytes(file.readall())
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(CHUNK))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
        return "sha256:" + digest.hexdigest()


def is_digest(text: str) -> bool:
    """Is this a well-formed sha256 digest?"""
    return _DIGEST.fullmatch(text) is not None


def short(digest: str) -> str:
    """The first twelve hex digits, for people."""
    return digest.removeprefix("sha256:")[:12]
