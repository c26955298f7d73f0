"""What is to be copied: every manifest and blob of an image, and of what refers to it.

Manifests are read for nothing but what they point at, so any artifact can be copied, an image or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from imgbake.api import BakeError
from imgbake.api import digest as digests
from imgbake_copy.sources import COSIGN, Source
from imgbake_copy.spool import Check
from imgbake_oci import documents, media_types
from imgbake_oci.descriptor import Descriptor, Platform
from imgbake_oci.registry import choose

_AT_ONCE = 8  # manifests that are asked about at the same time
_DEEPEST = 8  # indexes in indexes, and signatures of signatures
_ELSEWHERE = ("foreign", "nondistributable")  # in the media types of layers that no registry is given
_ATTESTED = "vnd.docker.reference.digest"  # in an index, beside attestations: the image that they are of


class Document(msgspec.Struct, frozen=True):
    """A manifest or index, and what it points at."""

    media_type: str
    digest: str
    data: bytes
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: str = ""  # the digest of what it refers to
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def descriptor(self) -> Descriptor:
        """How an index lists it."""
        return Descriptor(
            self.media_type, self.digest, len(self.data),
            annotations=self.annotations, artifact_type=self.artifact_type,
        )  # fmt: skip


class Content(msgspec.Struct, frozen=True):
    """All documents, what they point at before them; and the tags by which signatures are found."""

    root: Document
    documents: tuple[Document, ...]
    tags: dict[str, str] = {}  # to digests

    @property
    def blobs(self) -> list[Descriptor]:
        """All blobs besides the documents."""
        return list({blob.digest: blob for document in self.documents for blob in document.blobs}.values())

    @property
    def parts(self) -> list[Descriptor]:
        """Everything: blobs, and documents."""
        return [*self.blobs, *(document.descriptor for document in self.documents)]

    @property
    def referring(self) -> tuple[Document, ...]:
        """Those that refer to others."""
        return tuple(each for each in self.documents if each.subject)


class _Pointers(msgspec.Struct, rename="camel"):
    """What any manifest may point at (image-spec, manifest.md and image-index.md)."""

    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] | None = None
    blobs: tuple[Descriptor, ...] | None = None
    manifests: tuple[Descriptor, ...] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


def gather(
    source: Source, digest: str, platforms: Sequence[Platform], check: Check, *, referrers: bool
) -> Content:
    """Reads all manifests of an image, for some platforms or all, and of what refers to it.

    Raises BakeError for what is not there, or is no manifest.
    """
    gathering = _Gathering(source, check)
    root = _chosen(gathering.document(digest), platforms, source.name, gathering)
    gathering.add(root)
    if referrers:
        gathering.add_referrers()
    return Content(root, tuple(gathering.found.values()), gathering.tags)


class _Gathering:
    def __init__(self, source: Source, check: Check) -> None:
        self._source, self._check = source, check
        self.found: dict[str, Document] = {}
        self.tags: dict[str, str] = {}

    def document(self, digest: str) -> Document:
        """One manifest, read."""
        return _read(self._source.manifest(digest, self._check), self._source.name)

    def add(self, document: Document, depth: int = 0) -> None:
        """Adds a manifest after all that it points at."""
        if document.digest in self.found:
            return
        if depth > _DEEPEST:
            raise BakeError(f"{self._source.name}: indexes in indexes, more than {_DEEPEST} deep")
        for child in document.children:
            if child.digest not in self.found:
                self.add(self.document(child.digest), depth + 1)
        self.found[document.digest] = document

    def add_referrers(self) -> None:
        """Adds what refers to anything that is there, by the list of referrers and by cosign's tags."""
        new = list(self.found)
        for _ in range(_DEEPEST):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                asked = list(pool.map(self._asked, new))
            known = set(self.found)
            for referring, tags in asked:
                self.tags |= tags
                for digest in (*referring, *tags.values()):
                    if digest not in self.found:
                        self.add(self.document(digest))
            new = [digest for digest in self.found if digest not in known]
            if not new:
                return

    def _asked(self, digest: str) -> tuple[list[str], dict[str, str]]:
        tags = [f"{digest.replace(':', '-')}.{kind}" for kind in COSIGN]
        found = {tag: self._source.tagged(tag, self._check) for tag in tags}
        named = {tag: meant for tag, meant in found.items() if meant}
        return self._source.referrers(digest, self._check), named


def _read(data: bytes, name: str) -> Document:
    try:
        read = msgspec.json.decode(data, type=_Pointers)
    except msgspec.DecodeError as error:
        raise BakeError(f"{name} is not an image that can be read: {error}") from None
    media_type = read.media_type or (
        media_types.INDEX if read.manifests is not None else media_types.MANIFEST
    )
    if read.manifests is None and read.config is None and read.blobs is None:
        raise BakeError(f"{name} is neither a manifest nor an index", hint="is it something else?")
    own = [*((read.config,) if read.config else ()), *(read.layers or ()), *(read.blobs or ())]
    blobs = [each for each in own if not (each.urls and _is_elsewhere(each))]
    children = read.manifests or ()
    for each in (*blobs, *children):
        if not digests.is_digest(each.digest) or each.size < 0:
            raise BakeError(f"{name} names its content by {each.digest[:100]!r}, which can't be copied")
    return Document(
        media_type,
        digests.of_bytes(data),
        data,
        tuple({each.digest: each for each in blobs}.values()),
        children,
        read.subject.digest if read.subject else "",
        read.artifact_type or (read.config.media_type if read.config else ""),
        read.annotations or {},
    )


def _is_elsewhere(layer: Descriptor) -> bool:
    return any(word in layer.media_type for word in _ELSEWHERE)


def _chosen(root: Document, platforms: Sequence[Platform], name: str, gathering: _Gathering) -> Document:
    """The image for the wanted platforms: all, one of an index, or a smaller index."""
    if not platforms or not root.children:
        return root
    wanted = {choose(root.children, platform, name).digest for platform in platforms}
    if len(wanted) == 1:
        return gathering.document(wanted.pop())
    fields = msgspec.json.decode(root.data, type=dict[str, Any])
    fields["manifests"] = list(_kept(fields["manifests"], wanted))
    return _read(documents.encoded(fields), name)


def _kept(manifests: Sequence[dict[str, Any]], wanted: set[str]) -> Iterator[dict[str, Any]]:
    """Those that are wanted, and the attestations of these."""
    for each in manifests:
        attested = (each.get("annotations") or {}).get(_ATTESTED)
        if each["digest"] in wanted or attested in wanted:
            yield each
