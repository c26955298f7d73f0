"""Image streams as documents in a repository: each version a manifest, of which the newest counts.

{
  "artifactType": "application/vnd.imgbake.stream.v1+json",
  "config": {"mediaType": "application/vnd.oci.empty.v1+json", …},
  "layers": [the document, or the empty blob: there is no stream any more],
  "annotations": {"…writer": …, "…name": …}
}
"""

from __future__ import annotations

import re
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec

from imgbake.api import BakeError, Kept, UsageError, digest
from imgbake_oci import media_types
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import parse as parse_reference
from imgbake_oci.streams.election import Election, tidy
from imgbake_oci.streams.marks import DECIDED, REMOVED, Mark, Phase, parse

if TYPE_CHECKING:
    from imgbake_oci.streams.tags import Repository

_TYPE = "application/vnd.imgbake.stream.v1+json"
_EMPTY = b"{}"
_NOTHING = Descriptor(media_types.EMPTY, digest.of_bytes(_EMPTY), len(_EMPTY))
_WRITER, _NAME = "com.github.imgbake.writer", "org.opencontainers.image.title"
_VERSION = re.compile(r"([0-9]+)@(sha256:[0-9a-f]{64})")
_TIDIES = 8  # versions, after which the marks of old ones are removed
_TICK = 0.25  # seconds between two looks at whether we are to stop


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    layers: tuple[Descriptor, ...]


class RegistryShelf:
    """A shelf at `oci://REGISTRY/REPOSITORY`. Logins, trust and proxies are those of images."""

    kind: ClassVar[str] = "oci"
    version: ClassVar[int] = 1

    def __init__(self, address: str, check: Callable[[], None]) -> None:
        place = address.removeprefix("oci://")
        try:
            self._reference = parse_reference(place)
        except BakeError as error:
            raise UsageError(
                f"'{address}' is no place in a registry: {error.message}", hint=error.hint
            ) from None
        if place != self._reference.name:
            hint = f"write oci://{self._reference.name}"
            raise UsageError(f"'{address}' is no repository of a registry", hint=hint)
        self._check = check
        self._opened: Repository | None = None

    def names(self) -> Sequence[str]:
        newest: dict[str, Mark] = {}
        for mark in parse(self._repository.all()):
            if mark.is_decided and mark.version > (
                newest[mark.stream].version if mark.stream in newest else 0
            ):
                newest[mark.stream] = mark
        return sorted(name for name, mark in newest.items() if mark.phase == DECIDED)

    def load(self, name: str) -> Kept | None:
        found = self._newest(name)
        if found is None or found[0].phase == REMOVED:
            return None
        mark, manifest = found
        (document,) = msgspec.json.decode(manifest, type=_Manifest).layers
        return Kept(self._repository.get_blob(document), f"{mark.version}@{digest.of_bytes(manifest)}")

    def save(self, name: str, data: bytes, expected: str) -> bool:
        return self._replace(name, data, expected)

    def remove(self, name: str, expected: str) -> bool:
        return self._replace(name, None, expected)

    def proof(self, name: str) -> str:
        return ""

    def _replace(self, name: str, data: bytes | None, expected: str) -> bool:
        before = self._before(name, expected)
        if before is None:
            return False
        mark, of = before
        if not of:
            self._repository.put_blob(media_types.EMPTY, _EMPTY)  # later versions find it there
        begun = _manifest(name, _NOTHING)
        election = Election(self._repository, name, (mark, of) if of else None, begun, _phase, self._wait)
        if not election.run(lambda: self._kept(name, data)):
            return False
        if mark.version % _TIDIES == 0:
            tidy(self._repository, name, mark.version + 1)
        return True

    def _before(self, name: str, expected: str) -> tuple[Mark, str] | None:
        """The version that is to be replaced, and its digest; the number 0 if there is none.

        None when nothing is to be there and something is.
        """
        wanted = _VERSION.fullmatch(expected)
        if wanted:
            return Mark(name, int(wanted[1]), DECIDED), wanted[2]
        found = self._newest(name)
        if found is None:
            return Mark(name, 0, DECIDED), ""
        mark, manifest = found
        return (mark, digest.of_bytes(manifest)) if mark.phase == REMOVED else None

    def _newest(self, name: str) -> tuple[Mark, bytes] | None:
        """The newest version that was decided, and its manifest.

        A tag that is listed and not there was removed since, as there is a newer one, or is being put.
        """
        passed: set[Mark] = set()
        while True:
            self._check()
            marks = {
                each for each in parse(self._repository.all()) if each.stream == name and each.is_decided
            }
            if not marks - passed:
                return None
            newest = max(marks - passed, key=lambda each: each.version)
            manifest = self._repository.get(str(newest))
            if manifest is not None:
                return newest, manifest
            passed.add(newest)

    def _kept(self, name: str, data: bytes | None) -> bytes:
        """A manifest of the document, which is brought there."""
        return _manifest(name, _NOTHING if data is None else self._repository.add_blob(_TYPE, data))

    def _wait(self, seconds: float) -> None:
        last = time.monotonic() + seconds
        while (left := last - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, _TICK))

    @property
    def _repository(self) -> Repository:
        if self._opened is None:
            from imgbake_oci.registry import Client
            from imgbake_oci.streams.tags import Repository

            client = Client()
            weakref.finalize(self, client.close)
            self._opened = Repository(client, self._reference, self._check)
        return self._opened


def _manifest(name: str, layer: Descriptor) -> bytes:
    """A manifest like no other."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_types.MANIFEST,
        "artifactType": _TYPE,
        "config": _NOTHING,
        "layers": [layer],
        "annotations": {_NAME: f"{name}.json", _WRITER: uuid.uuid4().hex},
    }
    return msgspec.json.encode(manifest)


def _phase(manifest: bytes) -> Phase:
    (layer,) = msgspec.json.decode(manifest, type=_Manifest).layers
    return DECIDED if layer.media_type == _TYPE else REMOVED
