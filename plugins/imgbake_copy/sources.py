"""Where content is read: layouts, archives of them, and registries. All say the same few words."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from imgbake.api import BakeError
from imgbake.api import digest as digests
from imgbake_copy.spool import Check, Spools
from imgbake_oci import media_types, sources
from imgbake_oci.amazon import Registries, introduced
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference, parse
from imgbake_oci.registry import Client, FilePart, Watch

T = TypeVar("T", bound=msgspec.Struct)

COSIGN = ("sig", "att", "sbom")  # what cosign's tags end with
_REF_NAME = "org.opencontainers.image.ref.name"
_FALLBACK = re.compile(r"sha256-([0-9a-f]{64})")


class Source(Protocol):
    """Gives the content of one image and of what refers to it. Safe from threads."""

    name: str  # in errors
    repository: Reference | None  # in a registry, for mounts

    def manifest(self, digest: str, check: Check) -> bytes:
        """A manifest or index, verified. Raises BakeError."""

    def part(self, blob: Descriptor, scratch: Path, check: Check) -> FilePart:
        """Where the bytes of a blob are, or come. `scratch` is a folder for those. Raises BakeError."""

    def referrers(self, digest: str, check: Check) -> list[str]:
        """The digests of manifests that refer to this one."""

    def tagged(self, tag: str, check: Check) -> str:
        """The digest that a tag means beside the image, empty when there is none."""


class Files:
    """A layout, in a folder or in an archive."""

    repository: Reference | None = None

    def __init__(self, files: sources.Layout | sources.LayoutArchive) -> None:
        self.name = files.name
        self._files = files
        self._lock = threading.Lock()
        self._listed: tuple[dict[str, list[str]], dict[str, str]] | None = None

    def manifest(self, digest: str, check: Check) -> bytes:
        return self._files.manifest(digest)

    def part(self, blob: Descriptor, scratch: Path, check: Check) -> FilePart:
        path, start, size = self._files.place(blob.digest)
        if size != blob.size:
            hint = "it is damaged: make it again"
            raise BakeError(f"{self.name}: {blob.digest} has {size} bytes, not {blob.size}", hint=hint)
        return FilePart(path, start, size)

    def referrers(self, digest: str, check: Check) -> list[str]:
        return self._all()[0].get(digest, [])

    def tagged(self, tag: str, check: Check) -> str:
        return self._all()[1].get(tag, "")

    def _all(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """By what they refer to the manifests that the layout names; and its tags."""
        with self._lock:
            if self._listed is None:
                referring: dict[str, list[str]] = {}
                tags: dict[str, str] = {}
                for each in self._files.index().manifests:
                    tags[each.annotations.get(_REF_NAME, "")] = each.digest
                    for subject, digest in self._subjects(each):
                        referring.setdefault(subject, []).append(digest)
                self._listed = referring, tags
            return self._listed

    def _subjects(self, each: Descriptor) -> list[tuple[str, str]]:
        """What a manifest refers to; of an index by the fallback tag of a subject, what that lists."""
        fallback = _FALLBACK.fullmatch(each.annotations.get(_REF_NAME, ""))
        data = self._files.manifest(each.digest)
        if fallback:
            return [(f"sha256:{fallback[1]}", digest) for digest in _index_digests(data)]
        subject = _decoded(data, _Subject).subject
        return [(subject.digest, each.digest)] if subject else []


class Remote:
    """A repository of a registry."""

    def __init__(self, client: Client, reference: Reference, name: str, spools: Spools) -> None:
        self.name = name
        self.repository: Reference | None = Reference(reference.registry, reference.repository)
        self._reference = self.repository
        self._client = client
        self._spools = spools
        self._lists = True  # does the registry list referrers? Found out by asking

    def manifest(self, digest: str, check: Check) -> bytes:
        return self._client.manifest(self._reference, digest, Watch(check))[1]

    def part(self, blob: Descriptor, scratch: Path, check: Check) -> FilePart:
        def download(to: Path, watch: Watch) -> None:
            self._client.blob(self._reference, blob, to, watch)

        return self._spools.spool(blob.digest, blob.size, download, scratch).part(check)

    def referrers(self, digest: str, check: Check) -> list[str]:
        if self._lists:
            listed = self._client.referrers(self._reference, digest, Watch(check))
            if listed is not None:
                return [each.digest for each in listed]
            self._lists = False
        index = self.tagged(digest.replace(":", "-"), check)
        return _index_digests(self.manifest(index, check)) if index else []

    def tagged(self, tag: str, check: Check) -> str:
        found = self._client.current(self._reference.tagged(tag), Watch(check))
        return found.digest if found else ""


class _Subject(msgspec.Struct):
    subject: Descriptor | None = None


class _Manifests(msgspec.Struct):
    manifests: tuple[Descriptor, ...] | None = None
    media_type: str = msgspec.field(default="", name="mediaType")


def opened(reference: str, root: Path, client: Client, spools: Spools, registries: Registries) -> Source:
    """The source that a reference names, spelled as a base is. Raises BakeError."""
    transport, path, _ = sources.split(reference)
    if transport == "oci":
        return Files(sources.Layout(root / path, reference))
    if transport == "oci-archive":
        return Files(sources.LayoutArchive(root / path, reference))
    if transport == "docker-archive" or reference.startswith("docker-daemon:"):
        hint = "push it, or export it as an OCI layout, and copy that"
        raise BakeError(f"{reference} has no manifest that could be copied as it is", hint=hint)
    named = parse(reference)
    return Remote(client, introduced(named, client, registries), named.familiar, spools)


def _index_digests(data: bytes) -> list[str]:
    read = _decoded(data, _Manifests)
    if read.media_type not in ("", *media_types.INDEXES):
        return []
    return [each.digest for each in read.manifests or () if digests.is_digest(each.digest)]


def _decoded(data: bytes, type_: type[T]) -> T:
    """What a document says of this; nothing, where it is of another kind."""
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.DecodeError:
        return type_()
