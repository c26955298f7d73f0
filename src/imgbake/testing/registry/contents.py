"""What a registry holds: blobs as files, manifests and tags by repository, unfinished uploads."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from imgbake import digest as digests


class Manifest(msgspec.Struct, frozen=True):
    """A manifest as it was pushed."""

    media_type: str
    data: bytes


class Repository:
    """One repository: the digests of its blobs, its manifests by digest, its tags."""

    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.manifests: dict[str, Manifest] = {}
        self.tags: dict[str, str] = {}

    def find(self, reference: str) -> tuple[str, Manifest] | None:
        """The digest and the manifest that a tag or a digest names."""
        digest = self.tags.get(reference, reference)
        manifest = self.manifests.get(digest)
        return (digest, manifest) if manifest else None

    def missing(self, data: bytes) -> list[str]:
        """The digests that a manifest refers to and that are not here."""
        known = self.blobs | self.manifests.keys()
        return [digest for digest in _references(data) if digest not in known]


class Contents:
    """Everything that a registry holds. Blobs are shared by all repositories, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lists_referrers = False
        self.deletes_tags = False
        self.repositories: dict[str, Repository] = {}
        self.lock = threading.RLock()
        self._uploads: dict[str, Path] = {}

    def repository(self, name: str) -> Repository:
        """The repository of this name, made if need be."""
        with self.lock:
            return self.repositories.setdefault(name, Repository())

    def blob(self, digest: str) -> Path:
        """Where the bytes of a blob are, or would be."""
        return self.folder / digest.replace(":", "-")

    def has_blob(self, name: str, digest: str) -> bool:
        """Is this blob in this repository?"""
        with self.lock:
            return name in self.repositories and digest in self.repositories[name].blobs

    def add_blob(self, name: str, data: bytes) -> str:
        """Puts a blob into a repository and returns its digest."""
        digest = digests.of_bytes(data)
        self.blob(digest).write_bytes(data)
        self.repository(name).blobs.add(digest)
        return digest

    def add_manifest(self, name: str, manifest: Manifest, tag: str = "") -> str:
        """Puts a manifest into a repository, by its digest and, if one is given, by a tag."""
        digest = digests.of_bytes(manifest.data)
        with self.lock:
            repository = self.repository(name)
            repository.manifests[digest] = manifest
            if tag:
                repository.tags[tag] = digest
        return digest

    def start_upload(self) -> str:
        """Begins an upload and returns its id."""
        upload = uuid.uuid4().hex
        path = self.folder / f"upload-{upload}"
        path.touch()
        with self.lock:
            self._uploads[upload] = path
        return upload

    def upload(self, upload: str) -> Path | None:
        """The file that holds what has arrived of an upload; None for an unknown one."""
        with self.lock:
            return self._uploads.get(upload)

    def finish_upload(self, name: str, upload: str, digest: str) -> bool:
        """Turns an upload into a blob. Returns False, and forgets it, when it has another digest."""
        with self.lock:
            path = self._uploads.pop(upload)
        if digests.of_file(path) != digest:
            path.unlink()
            return False
        path.replace(self.blob(digest))
        self.repository(name).blobs.add(digest)
        return True

    def cancel_upload(self, upload: str) -> None:
        """Forgets an upload."""
        with self.lock:
            self._uploads.pop(upload).unlink()


def subject_of(data: bytes) -> str:
    """The digest that a manifest refers to, empty when it refers to none."""
    return str((msgspec.json.decode(data).get("subject") or {}).get("digest", ""))


def _references(data: bytes) -> Iterator[str]:
    """The digests that a manifest or an index names (image-spec, manifest.md and image-index.md)."""
    manifest = msgspec.json.decode(data)
    pointers = [*manifest.get("layers", ()), *manifest.get("manifests", ())]
    if "config" in manifest:
        pointers.append(manifest["config"])
    return (pointer["digest"] for pointer in pointers)
