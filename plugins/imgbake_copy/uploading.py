"""One delivery to a registry: what it lacks, and that alone, blobs before the manifests that name them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from imgbake.api import Artifact, BakeError, RunContext
from imgbake_copy.content import Content, Document
from imgbake_copy.copier import Copier
from imgbake_copy.together import Together
from imgbake_oci import media_types
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import descriptor_document, encoded
from imgbake_oci.reference import Reference
from imgbake_oci.registry import Client, Watch

_ASKED_AT_ONCE = 8
_SENT_AT_ONCE = 4


def missing(copier: Copier, target: Reference, content: Content, check: Callable[[], None]) -> list[Document]:
    """The documents that a repository lacks. One request for each; one that was there is so for this run."""

    def is_there(document: Document) -> bool:
        reference = target.pinned(document.digest)
        if reference not in copier.seen:
            if copier.client.current(reference, Watch(check), pushes=True) is None:
                return False
            copier.seen.add(reference)
        return True

    with ThreadPoolExecutor(min(_ASKED_AT_ONCE, len(content.documents))) as pool:
        there = list(pool.map(is_there, content.documents))
    return [each for each, is_so in zip(content.documents, there, strict=True) if not is_so]


def untagged(
    copier: Copier, target: Reference, content: Content, check: Callable[[], None]
) -> dict[str, str]:
    """The tags of signatures that don't mean there what they should."""
    found = {}
    for tag, digest in content.tags.items():
        current = copier.client.current(target.tagged(tag), Watch(check), pushes=True)
        if current is None or current.digest != digest:
            found[tag] = digest
    return found


class Upload:
    """The work of one delivery. `sent` and `there` are bytes: of this delivery, and of what it found."""

    def __init__(
        self, copier: Copier, artifact: Artifact, content: Content, target: Reference, ctx: RunContext
    ) -> None:
        self._copier, self._artifact, self._content = copier, artifact, content
        self._target, self._ctx = target, ctx
        self._together = Together(ctx.check)
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}  # bytes by blob
        self._total = 0
        self.sent = 0
        self.there = 0

    def run(self) -> None:
        """Brings all that is missing. Raises BakeError."""
        absent = self._absent()
        self._send_blobs({blob.digest: blob for each in absent for blob in each.blobs}.values())
        lacking = {each.digest for each in absent}
        for document in self._content.documents:  # what they point at comes before them
            if document.digest in lacking:
                self._put(document)
        for tag, digest in untagged(self._copier, self._target, self._content, self._together.check).items():
            document = next(each for each in self._content.documents if each.digest == digest)
            self._client.put_manifest(self._target, tag, document.media_type, document.data, self._watch())
        self._read_back(absent)

    def _absent(self) -> Sequence[Document]:
        """The documents to bring. One that is there vouches for what it names, unless the user has doubts."""
        if self._ctx.force:
            return self._content.documents
        return missing(self._copier, self._target, self._content, self._together.check)

    @property
    def _client(self) -> Client:
        return self._copier.client

    def _send_blobs(self, blobs: Iterable[Descriptor]) -> None:
        blobs = list(blobs)
        has = self._together.each(self._is_there, blobs, _ASKED_AT_ONCE)
        absent = [blob for blob, is_so in zip(blobs, has, strict=True) if not is_so]
        self.there = sum(blob.size for blob in blobs) - sum(blob.size for blob in absent)
        self._total = sum(blob.size for blob in absent)
        self._together.each(self._send, sorted(absent, key=lambda blob: -blob.size), _SENT_AT_ONCE)

    def _is_there(self, blob: Descriptor) -> bool:
        is_so = self._client.has_blob(self._target, blob.digest, self._watch(), pushes=True)
        if is_so:
            self._copier.held.setdefault((self._target.registry, blob.digest), self._target.repository)
        return is_so

    def _send(self, blob: Descriptor) -> None:
        """Sends a blob. Of several deliveries to one host, one sends it, and the others mount it."""
        place = (self._target.registry, blob.digest)
        with self._copier.turns.alone(place, self._together.check):
            holder = self._copier.held.get(place) or self._source_repository()
            is_there = holder == self._target.repository
            sent = 0 if is_there else self._upload(blob, holder) or 0
            self._copier.held[place] = self._target.repository
        with self._lock:
            self.sent += sent
            self.there += blob.size - sent
        self._progress(blob.digest, blob.size)

    def _upload(self, blob: Descriptor, mount_from: str) -> int | None:
        return self._client.upload_blob(
            self._target,
            blob.digest,
            lambda: self._copier.part(self._artifact, blob, self._ctx),
            self._watch(blob.digest),
            mount_from=mount_from,
        )

    def _source_repository(self) -> str:
        """The repository that the content is read from, if it is one of the same registry."""
        found = self._copier.source(self._artifact, self._ctx).repository
        return found.repository if found and found.registry == self._target.registry else ""

    def _put(self, document: Document) -> None:
        name, media_type = document.digest, document.media_type
        is_listed = self._client.put_manifest(self._target, name, media_type, document.data, self._watch())
        if document.subject and not is_listed and not self._is_listed(document):
            self._list(document)

    def _is_listed(self, document: Document) -> bool:
        """Asks the list itself: some registries keep one, and don't say so when they accept a manifest."""
        listed = self._client.referrers(self._target, document.subject, self._watch())
        return any(each.digest == document.digest for each in listed or ())

    def _list(self, document: Document) -> None:
        """Lists a document with what it refers to, for a registry that doesn't (distribution-spec,
        "Referrers Tag Schema")."""
        tag = document.subject.replace(":", "-")
        reference = self._target.tagged(tag)
        listed: list[dict[str, Any]] = []
        if self._client.current(reference, self._watch(), pushes=True) is not None:
            data = self._client.manifest(reference, "", self._watch())[1]
            listed = msgspec.json.decode(data, type=dict[str, Any]).get("manifests") or []
        if any(each.get("digest") == document.digest for each in listed):
            return
        listed.append(descriptor_document(document.descriptor))
        index = {"schemaVersion": 2, "mediaType": media_types.INDEX, "manifests": listed}
        self._client.put_manifest(self._target, tag, media_types.INDEX, encoded(index), self._watch())

    def _read_back(self, put: Sequence[Document]) -> None:
        """Asks for the digest of everything that was put; of what was there, that has been asked."""
        for document in put:
            found = self._client.current(self._target.pinned(document.digest), self._watch(), pushes=True)
            if found is None or found.size != len(document.data):
                hint = "it lost what it had accepted: run it again"
                raise BakeError(
                    f"{self._target.name} has no {document.digest} after it was put there", hint=hint
                )

    def _watch(self, blob: str = "") -> Watch:
        if not blob:
            return Watch(self._together.check)
        return Watch(self._together.check, lambda done, total: self._progress(blob, done))

    def _progress(self, blob: str, done: int) -> None:
        with self._lock:
            self._done[blob] = done
            so_far = sum(self._done.values())
        self._ctx.progress(so_far, self._total)
