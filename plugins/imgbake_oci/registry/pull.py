"""Pulling: tags to digests, manifests, blobs (distribution-spec, "Pull"). All content is verified."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from imgbake.api import BakeError, did_you_mean, digest
from imgbake_oci import media_types
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference
from imgbake_oci.registry.addresses import next_page
from imgbake_oci.registry.failures import RegistryError
from imgbake_oci.registry.patience import Transient, Watch
from imgbake_oci.registry.session import Call, Session
from imgbake_oci.registry.transport import Response

MANIFEST_LIMIT = 4 << 20  # bytes; the most that registries must take
_TAGS_LIMIT = 1 << 20
_LIST_LIMIT = 64 << 20  # bytes of one page: some registries have but one
_TAGS_PAGE = 10_000
_TAGS_PAGES = 1000  # more than these are no end to be waited for
_BUFFER = 1 << 18
_ACCEPT = {"Accept": ", ".join(media_types.ACCEPT)}
_DIGEST = "Docker-Content-Digest"


class _Typed(msgspec.Struct):
    """What a manifest says it is. The oldest docker format says it by its version alone."""

    media_type: str = msgspec.field(default="", name="mediaType")
    version: int = msgspec.field(default=0, name="schemaVersion")


class _Tags(msgspec.Struct):
    tags: tuple[str, ...] | None = None


def resolve(session: Session, reference: Reference, watch: Watch) -> Descriptor:
    """What a reference means now: asked by HEAD, or by GET where a registry says too little to that."""
    described = session.patiently(lambda: _head(session, reference, watch), watch)
    if described:
        return described
    media_type, data = manifest(session, reference, watch)
    return Descriptor(media_type, digest.of_bytes(data), len(data))


def current(
    session: Session, reference: Reference, watch: Watch, *, pushes: bool = False
) -> Descriptor | None:
    """What a reference means now, None when it means nothing: one request, where the registry says enough.

    With `pushes`, asked by the token that a push will need anyway.
    """

    def attempt() -> Descriptor | bool | None:
        with _ask(session, reference, "HEAD", watch, pushes=pushes) as response:
            return False if response.status == 404 else _described(response, reference)

    found = session.patiently(attempt, watch)
    if found is None:
        try:
            media_type, data = session.patiently(lambda: _get(session, reference, watch), watch)
        except RegistryError as error:
            if error.status == 404:
                return None
            raise
        return Descriptor(media_type, digest.of_bytes(data), len(data))
    return found if isinstance(found, Descriptor) else None


def manifest(session: Session, reference: Reference, watch: Watch) -> tuple[str, bytes]:
    """The media type and the bytes of a manifest or index, verified when the reference has a digest.

    Raises RegistryError when it is not there or not what was asked for.
    """
    try:
        return session.patiently(lambda: _get(session, reference, watch), watch)
    except RegistryError as error:
        if error.status == 404:
            raise _absent(session, reference, error, watch) from error
        raise


def blob(
    session: Session,
    reference: Reference,
    descriptor: Descriptor,
    to: Path,
    watch: Watch,
) -> None:
    """Downloads a blob to a path. What broke off goes on where it ended; wrong content is an error.

    When this raises, there is no file at the path.
    """
    try:
        with to.open("wb") as file:
            download = _Download(session, reference, descriptor, file, watch)
            session.patiently(download.attempt, watch)
            download.verify()
    except OSError as error:
        to.unlink(missing_ok=True)
        raise BakeError(f"{to}: could not write blob {descriptor.digest}: {error.strerror}") from error
    except BaseException:
        to.unlink(missing_ok=True)
        raise


def tags(session: Session, reference: Reference, watch: Watch) -> list[str]:
    """Every tag of the reference's repository; none where there is no repository."""
    found: dict[str, None] = {}
    place = f"tags/list?n={_TAGS_PAGE}"
    for _ in range(_TAGS_PAGES):
        page, place = session.patiently(partial(_tags_page, session, reference, place, watch), watch)
        found.update(dict.fromkeys(page))
        if not place:
            break
    return list(found)


class _Download:
    """A blob on its way: how much has come, and its digest so far."""

    def __init__(
        self,
        session: Session,
        reference: Reference,
        descriptor: Descriptor,
        file: IO[bytes],
        watch: Watch,
    ) -> None:
        self._session = session
        self._reference = reference
        self._descriptor = descriptor
        self._file = file
        self._watch = watch
        self._done = 0
        self._digest = hashlib.sha256()

    def attempt(self) -> None:
        """Downloads what is missing. Raises Transient when it breaks off."""
        before = self._done
        try:
            with self._session.send(self._call(), self._watch) as response:
                self._place(response)
                self._receive(response)
        except Transient as failure:
            failure.progressed = self._done > before
            raise

    def verify(self) -> None:
        """Raises RegistryError unless what came is what was asked for."""
        found = f"sha256:{self._digest.hexdigest()}"
        if found != self._descriptor.digest:
            raise self._wrong(f"it sent bytes whose digest is {found}")

    def _call(self) -> Call:
        headers = {"Range": f"bytes={self._done}-"} if self._done else {}
        path, what = f"blobs/{self._descriptor.digest}", f"blob {self._descriptor.digest}"
        return Call(self._reference, "GET", path, what, expected=(200, 206), headers=headers)

    def _place(self, response: Response) -> None:
        """Begins anew when the answer does not go on where we asked it to."""
        start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if self._done and (response.status != 206 or start != str(self._done)):
            self._done = 0
            self._digest = hashlib.sha256()
            self._file.seek(0)
            self._file.truncate()
            if response.status == 206:
                raise Transient(self._wrong("it sent another part of it than was asked for"))

    def _receive(self, response: Response) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        size = self._descriptor.size
        while count := response.readinto(buffer):
            if self._done + count > size:
                raise self._wrong(f"it sent more than its {size} bytes")
            self._file.write(buffer[:count])
            self._file.flush()  # whoever hears of the progress may read that far
            self._digest.update(buffer[:count])
            self._done += count
            self._watch.progress(self._done, size)
        if self._done < size:
            raise Transient(self._wrong(f"it sent {self._done} of its {size} bytes"))

    def _wrong(self, what: str) -> RegistryError:
        return RegistryError(f"{self._reference.name}: blob {self._descriptor.digest} is not right: {what}")


def _head(session: Session, reference: Reference, watch: Watch) -> Descriptor | None:
    """What HEAD says; None when that is not enough, or not even whether there is such a manifest."""
    with _ask(session, reference, "HEAD", watch) as response:
        return _described(response, reference)


def _described(response: Response, reference: Reference) -> Descriptor | None:
    """What an answer to HEAD says; None when that is not enough."""
    found = response.headers.get(_DIGEST, "")
    media_type = _media_type(response)
    known = media_type in media_types.INDEXES | media_types.MANIFESTS
    if response.status != 200 or not digest.is_digest(found) or not response.length or not known:
        return None
    if reference.digest and found != reference.digest:
        return None
    return Descriptor(media_type, found, response.length)


def _get(session: Session, reference: Reference, watch: Watch) -> tuple[str, bytes]:
    with _ask(session, reference, "GET", watch) as response:
        data = response.read(MANIFEST_LIMIT)
        promised = reference.digest or response.headers.get(_DIGEST, "")
        media_type = _media_type(response)
    found = digest.of_bytes(data)
    if promised and found != promised:
        raise RegistryError(
            f"{reference}: not the manifest {promised}: it sent bytes whose digest is {found}"
        )
    return _checked_type(reference, media_type, data), data


def _ask(
    session: Session, reference: Reference, method: str, watch: Watch, *, pushes: bool = False
) -> Response:
    path = f"manifests/{reference.digest or reference.tag}"
    expected = (200,) if method == "GET" else (200, 400, 404, 405, 501)
    call = Call(
        reference, method, path, reference.familiar, expected=expected, headers=_ACCEPT, pushes=pushes
    )
    return session.send(call, watch)


def _media_type(response: Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip()


def _checked_type(reference: Reference, media_type: str, data: bytes) -> str:
    """The media type: the header's if it is one of a manifest, else what the manifest says of itself."""
    known = media_types.INDEXES | media_types.MANIFESTS
    try:
        typed = msgspec.json.decode(data, type=_Typed)
    except msgspec.DecodeError as error:
        raise RegistryError(f"{reference}: its manifest is not JSON: {error}") from error
    if typed.media_type and media_type in known and typed.media_type != media_type:
        said = f"it was sent as {media_type} and calls itself {typed.media_type}"
        raise RegistryError(f"{reference}: its manifest contradicts itself: {said}")
    for candidate in (media_type, typed.media_type):
        if candidate in known:
            return candidate
    if typed.version == 1:
        hint = "push it again with a docker of version 1.10 or later"
        raise RegistryError(f"{reference}: its manifest has docker's oldest format (schema 1)", hint=hint)
    raise RegistryError(f"{reference}: not an image: its manifest is a {typed.media_type or media_type}")


def _absent(session: Session, reference: Reference, error: RegistryError, watch: Watch) -> RegistryError:
    """The error for what is not there, with the tags that look like the one asked for."""
    if reference.digest:
        return RegistryError(
            f"{reference.name} has no manifest {reference.digest}", status=404, codes=error.codes
        )
    tags = _tags(session, reference, watch)
    if tags is None or "NAME_UNKNOWN" in error.codes:
        message, hint = f"{reference.registry}: no repository {reference.repository}", "check the name"
    else:
        message = f"{reference.name} has no tag '{reference.tag}'"
        hint = did_you_mean(reference.tag, tags) or "check the tag"
    return RegistryError(message, hint=hint, status=404, codes=error.codes)


def _tags_page(
    session: Session, reference: Reference, place: str, watch: Watch
) -> tuple[tuple[str, ...], str]:
    """Some tags, and where the next ones are."""
    call = Call(
        reference, "GET", place, f"the tags of {reference.repository}", expected=(200, 404), pushes=True
    )
    with session.send(call, watch) as response:
        data = response.read(_LIST_LIMIT)
        if response.status == 404:
            return (), ""
        following = next_page(response.request.url, response.headers.get("Link", ""))
    try:
        return msgspec.json.decode(data, type=_Tags).tags or (), following
    except msgspec.DecodeError:
        raise RegistryError(f"{reference.registry}: its list of tags is not JSON") from None


def _tags(session: Session, reference: Reference, watch: Watch) -> list[str] | None:
    """Tags of a repository, as far as it tells, for a suggestion; None when there is no repository."""
    call = Call(reference, "GET", "tags/list?n=1000", f"the tags of {reference.repository}")
    try:
        with session.send(call, watch) as response:
            return list(msgspec.json.decode(response.read(_TAGS_LIMIT), type=_Tags).tags or ())
    except RegistryError as error:
        return None if error.status == 404 else []
    except (Transient, msgspec.DecodeError):
        return []
