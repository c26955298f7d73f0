"""The tags of a repository, and what documents need besides, by the OCI distribution-spec."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from imgbake.api import digest
from imgbake_oci import media_types
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, FilePart, RegistryError, Watch


class Repository:
    """A repository of a registry. Every method raises BakeError when the registry fails."""

    def __init__(self, client: Client, reference: Reference, check: Callable[[], None]) -> None:
        self._client = client
        self._reference = reference
        self._watch = Watch(check)
        self._removes = True

    def all(self) -> Iterable[str]:
        return self._client.tags(self._reference, self._watch)

    def put(self, tag: str, manifest: bytes) -> None:
        self._client.put_manifest(self._reference, tag, media_types.MANIFEST, manifest, self._watch)

    def get(self, tag: str) -> bytes | None:
        try:
            return self._client.manifest(self._reference.tagged(tag), "", self._watch)[1]
        except RegistryError as error:
            if error.status == 404:
                return None
            raise

    def digest(self, tag: str) -> str:
        found = self._client.current(self._reference.tagged(tag), self._watch, pushes=True)
        return found.digest if found else ""

    def remove(self, tag: str) -> None:
        """Not every registry does that, or lets everybody do it: then all stay, which costs time only."""
        if not self._removes:
            return
        try:
            self._client.delete_tag(self._reference.tagged(tag), self._watch)
        except RegistryError:
            self._removes = False

    def put_blob(self, media_type: str, data: bytes) -> Descriptor:
        """Brings a blob there, unless it is there."""
        name = digest.of_bytes(data)
        if not self._client.has_blob(self._reference, name, self._watch, pushes=True):
            self.add_blob(media_type, data)
        return Descriptor(media_type, name, len(data))

    def add_blob(self, media_type: str, data: bytes) -> Descriptor:
        """The same of one that is hardly there: without a look."""
        name = digest.of_bytes(data)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            source = FilePart(Path(file.name), 0, len(data))
            self._client.upload_blob(self._reference, name, lambda: source, self._watch)
        return Descriptor(media_type, name, len(data))

    def get_blob(self, descriptor: Descriptor) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "blob"
            self._client.blob(self._reference, descriptor, path, self._watch)
            return path.read_bytes()
