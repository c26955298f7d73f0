"""Pushing: blobs first, then manifests by digest, then tags (distribution-spec, "Push")."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from imgbake.api import digest as digests
from imgbake_oci.reference import Reference
from imgbake_oci.registry.addresses import follow
from imgbake_oci.registry.failures import RegistryError
from imgbake_oci.registry.patience import Transient, Watch
from imgbake_oci.registry.session import Call, Session
from imgbake_oci.registry.transport import Response
from imgbake_oci.registry.unfinished import Place
from imgbake_oci.registry.wire import FilePart

_ANSWER_LIMIT = 1 << 20
_LARGE = 4 << 20  # bytes from which a blob is worth going on with
_SMALLER = 32 << 20  # bytes of a piece for a registry, or a proxy before it, that takes no whole blob
_OCTETS = {"Content-Type": "application/octet-stream"}
_NO_MOUNT = frozenset({400, 401, 403, 404, 405})


def has_blob(
    session: Session, reference: Reference, digest: str, watch: Watch, *, pushes: bool = False
) -> bool:
    """Is the blob in this repository? With `pushes`, asked by the token that a push will need anyway."""
    call = Call(reference, "HEAD", f"blobs/{digest}", f"blob {digest}", expected=(200, 404), pushes=pushes)

    def attempt() -> bool:
        with session.send(call, watch) as response:
            return response.status == 200

    return session.patiently(attempt, watch)


class Upload:
    """A blob on its way: the registry's place for it, and how much has arrived there.

    `piece` is the most bytes for one request, 0 for all of them. `place` outlives us: an upload that stands
    there is gone on with.
    """

    def __init__(
        self, session: Session, reference: Reference, digest: str, piece: int = 0, place: Place | None = None
    ) -> None:
        self._session = session
        self._reference = reference
        self._digest = digest
        self._source = FilePart(Path(), 0, 0)
        self._piece = piece
        self._place = place or Place()
        self._location = self._place.read()
        self._in_doubt = bool(self._location)  # has a request broken off, so that only the registry knows?
        self._is_patched = self._in_doubt  # was this upload ever in doubt?
        self._done = 0
        self._before = -1  # bytes that an earlier process had sent; -1 until it is known

    def mount(self, repository: str, watch: Watch) -> bool:
        """Takes the blob over from another repository; False when it can't be. That begins an upload."""
        try:
            return self._session.patiently(lambda: self._mount(repository, watch), watch)
        except RegistryError as error:
            if error.status in _NO_MOUNT:
                return False
            raise

    def run(self, source: FilePart, watch: Watch) -> int:
        """Uploads a source. What broke off goes on where the registry says that it ended, or begins anew.

        Returns how many bytes this process has had to send.
        """
        self._source = source
        self._session.patiently(lambda: self._attempt(watch), watch)
        return source.size - self._before

    def _mount(self, repository: str, watch: Watch) -> bool:
        query = urlencode({"mount": self._digest, "from": repository})
        call = self._call("POST", f"blobs/uploads/?{query}", expected=(201, 202), mount_from=repository)
        with self._session.send(call, watch) as response:
            if response.status == 202 and not self._location:
                self._follow(response)
            return response.status == 201

    def _attempt(self, watch: Watch) -> None:
        before = self._done
        try:
            self._find_place(watch)
            self._send(watch)
        except Transient as failure:
            self._in_doubt = self._is_patched = True
            failure.progressed = self._done > before
            raise
        except RegistryError as error:
            self._retreat(error)

    def _find_place(self, watch: Watch) -> None:
        """Begins an upload, unless there is one; asks how far it has come if that is in doubt."""
        if self._location and self._in_doubt:
            self._ask_place(watch)
        if not self._location:
            self._done = 0
            self._is_patched = False
            call = self._call("POST", "blobs/uploads/", expected=(202,))
            with self._session.send(call, watch) as response:
                self._follow(response)
        self._in_doubt = False
        self._before = self._done if self._before < 0 else self._before

    def _ask_place(self, watch: Watch) -> None:
        call = self._call("GET", self._location, expected=(200, 204))
        try:
            with self._session.send(call, watch) as response:
                end = response.headers.get("Range", "").rpartition("-")[2]
                # "0-0" is what an upload of no bytes says of itself, having no way to say "none".
                self._done = int(end) + 1 if end.isdecimal() and end != "0" else 0
                self._follow(response)
        except RegistryError:
            self._lose()

    def _send(self, watch: Watch) -> None:
        is_resumable = self._place.is_kept and self._source.size >= _LARGE
        if not self._done and not self._piece and not is_resumable:
            self._finish(self._source, watch)
            return
        while self._done < self._source.size:
            self._send_piece(watch)
        self._finish(None, watch)

    def _send_piece(self, watch: Watch) -> None:
        count = min(self._source.size - self._done, self._piece or self._source.size)
        part = FilePart(self._source.path, self._source.start + self._done, count, self._source.grown)
        # One that is whole is sent as docker sends it, which every registry takes.
        is_whole = count == self._source.size
        where = {} if is_whole else {"Content-Range": f"{self._done}-{self._done + count - 1}"}
        headers = {**_OCTETS, **where}
        call = self._call(
            "PATCH", self._location, expected=(201, 202, 204), headers=headers, body=part, commits=True
        )
        with self._session.send(call, self._counting(watch)) as response:
            self._done += count
            self._follow(response)

    def _finish(self, body: FilePart | None, watch: Watch) -> None:
        mark = "&" if "?" in self._location else "?"
        location = f"{self._location}{mark}{urlencode({'digest': self._digest})}"
        call = self._call("PUT", location, expected=(201, 204), headers=_OCTETS, body=body, commits=True)
        with self._session.send(call, self._counting(watch)) as response:
            _check_digest(self._reference, self._digest, response)

    def _retreat(self, error: RegistryError) -> None:
        """Goes on in smaller pieces when one was too large, or begins anew when the upload is lost."""
        is_too_large = error.status == 413 and not self._piece and self._source.size > _SMALLER
        is_lost = error.status in (404, 416) or "BLOB_UPLOAD_INVALID" in error.codes
        if self._is_patched and "DIGEST_INVALID" in error.codes:
            is_lost = True  # bytes of the request that broke off came after we had asked how many there were
        if is_too_large:
            self._piece = _SMALLER
        elif not (is_lost and self._location):
            raise error
        self._lose()
        raise Transient(error)

    def _lose(self) -> None:
        self._location, self._before = "", 0
        self._place.write("")

    def _follow(self, response: Response) -> None:
        """Notes where the registry wants the next request of this upload."""
        location = response.headers.get("Location")
        if location:
            self._location = follow(response.request.url, location)
            self._place.write(self._location)
        elif not self._location:
            raise RegistryError(f"{self._reference.registry}: began an upload and did not say where")

    def _counting(self, watch: Watch) -> Watch:
        """A watch for one request, which adds what earlier ones have sent."""
        done = self._done
        return Watch(watch.check, lambda sent, _: watch.progress(done + sent, self._source.size))

    def _call(
        self,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: FilePart | None = None,
        mount_from: str = "",
        commits: bool = False,
    ) -> Call:
        return Call(
            self._reference,
            method,
            path,
            f"blob {self._digest} to {self._reference.repository}",
            expected=expected,
            headers=headers or {},
            body=body,
            pushes=True,
            mount_from=mount_from,
            commits=commits,
        )


def manifest(session: Session, call: Call, watch: Watch) -> bool:
    """Sends a call of `manifest_call`, and checks that the registry keeps what was sent.

    Does the registry know by itself which manifest this one refers to (distribution-spec, OCI-Subject)?
    """

    def attempt() -> bool:
        with session.send(call, watch) as response:
            assert isinstance(call.body, bytes)
            _check_digest(call.reference, digests.of_bytes(call.body), response)
            return "OCI-Subject" in response.headers

    return session.patiently(attempt, watch)


def delete_tag(session: Session, reference: Reference, watch: Watch) -> None:
    """Removes a tag; what it means stays. Raises RegistryError where a registry doesn't do that."""
    call = Call(
        reference, "DELETE", f"manifests/{reference.tag}", f"the removal of the tag {reference.tag}",
        expected=(202, 404), pushes=True, deletes=True,
    )  # fmt: skip
    session.patiently(lambda: session.send(call, watch).close(), watch)


def manifest_call(reference: Reference, name: str, media_type: str, data: bytes) -> Call:
    """The call that puts a manifest under a name: its digest or a tag."""
    return Call(
        reference,
        "PUT",
        f"manifests/{name}",
        f"{reference.repository} manifest {name}",
        expected=(200, 201, 202),
        headers={"Content-Type": media_type},
        body=data,
        pushes=True,
    )


def _check_digest(reference: Reference, digest: str, response: Response) -> None:
    response.read(_ANSWER_LIMIT)
    found = response.headers.get("Docker-Content-Digest", digest)
    if found != digest:
        raise RegistryError(f"{reference.registry}: stored {found} instead of {digest}")
