"""Image streams in a bucket of S3: an object for each, `PREFIX/NAME.json`.

A document is replaced by a conditional write, so S3 decides which of two writers is the first. Not all
that speaks S3 has conditional removals, and one that ignored the condition would lose a change: so what
is removed is replaced by an empty object, which counts as none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from imgbake.api import Kept
from imgbake_s3.objects import Found, Objects

_SUFFIX = ".json"
_TYPE = "application/json"


class BucketShelf:
    """A shelf at `s3://BUCKET/PREFIX`. Where, and by whose leave, is found as AWS's own tools find it."""

    kind: ClassVar[str] = "s3"
    version: ClassVar[int] = 1

    def __init__(self, address: str, check: Callable[[], None]) -> None:
        self._objects = Objects(address)
        self._check = check

    def names(self) -> Sequence[str]:
        found = []
        for key, size in self._objects.list():
            self._check()
            if size and key.endswith(_SUFFIX) and "/" not in key:
                found.append(key.removesuffix(_SUFFIX))
        return sorted(found)

    def load(self, name: str) -> Kept | None:
        found = self._read(name)
        return Kept(found.data, found.etag) if found and found.data else None

    def save(self, name: str, data: bytes, expected: str) -> bool:
        if self._write(name, data, expected):
            return True
        if expected:
            return False
        removed = self._read(name)
        return removed is not None and not removed.data and self._write(name, data, removed.etag)

    def remove(self, name: str, expected: str) -> bool:
        return self._write(name, b"", expected)

    def proof(self, name: str) -> str:
        return ""

    def _read(self, name: str) -> Found | None:
        self._check()
        return self._objects.read(name + _SUFFIX)

    def _write(self, name: str, data: bytes, etag: str) -> bool:
        self._check()
        return self._objects.write(name + _SUFFIX, data, etag, _TYPE)
