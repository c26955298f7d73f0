"""The client: every registry, over shared connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from imgbake.api import BakeError
from imgbake.api import digest as digests
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference
from imgbake_oci.registry import credentials as credential_files
from imgbake_oci.registry import pull, push, referrers, unfinished
from imgbake_oci.registry import tls as certificates
from imgbake_oci.registry.auth import Auth
from imgbake_oci.registry.connections import Pools
from imgbake_oci.registry.credentials import Credentials, Issuer
from imgbake_oci.registry.origins import Origins
from imgbake_oci.registry.patience import Retries, Timeouts, Watch
from imgbake_oci.registry.session import Session
from imgbake_oci.registry.tls import Contexts, Tls
from imgbake_oci.registry.transport import Transport
from imgbake_oci.registry.wire import FilePart

_UNWATCHED = Watch()


class Client:
    """Talks to registries. Safe from threads; one is enough for a process.

    Without arguments it uses what this user and machine have: see `credentials` and `tls`.
    `connections` is the most that one host gets at a time. `remembering` is a folder in which it is kept
    where uploads of large blobs were begun, so that a later process can go on with them. In every method
    the watch's `check` is called while waiting and between pieces, and ends the transfer by raising; its
    `progress` hears bytes done and bytes in all. Every method raises BakeError with a hint for what the
    user or the registry did wrong.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        tls: Tls | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        connections: int = 8,
        remembering: Path | None = None,
    ) -> None:
        self._remembering = remembering
        tls = tls or certificates.from_environment()
        self._pools = Pools(Contexts(tls), timeouts or Timeouts(), connections)
        transport = Transport(self._pools)
        origins = Origins(transport, tls.insecure)
        self.credentials = credentials or credential_files.from_environment()
        auth = Auth(transport, origins, self.credentials)
        self._session = Session(transport, origins, auth, retries or Retries())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. No transfer may be under way."""
        self._pools.close()

    def issue(self, reference: Reference, issuer: Issuer) -> None:
        """Lets somebody say who we are at a repository, instead of what `docker login` left behind."""
        self.credentials.issue(reference, issuer)

    def resolve(self, reference: Reference, watch: Watch = _UNWATCHED) -> Descriptor:
        """The manifest or index that a reference means now: its media type, digest and size."""
        return pull.resolve(self._session, reference, watch)

    def manifest(
        self, reference: Reference, digest: str = "", watch: Watch = _UNWATCHED
    ) -> tuple[str, bytes]:
        """The media type and the bytes of a manifest or index: the one of this digest in the reference's
        repository, or else what the reference means. Verified; at most 4 MiB."""
        return pull.manifest(self._session, reference.pinned(digest) if digest else reference, watch)

    def blob(self, reference: Reference, descriptor: Descriptor, to: Path, watch: Watch = _UNWATCHED) -> None:
        """Downloads a blob of the reference's repository to a path, verified. When this raises, there is
        no file at that path."""
        pull.blob(self._session, reference, descriptor, to, watch)

    def has_blob(
        self, reference: Reference, digest: str, watch: Watch = _UNWATCHED, *, pushes: bool = False
    ) -> bool:
        """Is this blob in the reference's repository? With `pushes`, asked as a push would."""
        return push.has_blob(self._session, reference, digest, watch, pushes=pushes)

    def push_blob(
        self,
        reference: Reference,
        digest: str,
        path: Path,
        watch: Watch = _UNWATCHED,
        *,
        mount_from: str = "",
        piece: int = 0,
    ) -> str:
        """Brings a file into the reference's repository as the blob of this digest, unless it is there.

        `mount_from` names another repository of the registry that may have it. `piece` limits the bytes
        of one request, 0 sends the file in one. Returns how it went: "there", "mounted" or "uploaded".
        """
        if not path.is_file():
            raise BakeError(f"{path}: no such file to push")
        if push.has_blob(self._session, reference, digest, watch, pushes=True):
            return "there"
        source = FilePart(path, 0, path.stat().st_size)
        sent = self.upload_blob(reference, digest, lambda: source, watch, mount_from=mount_from, piece=piece)
        return "mounted" if sent is None else "uploaded"

    def upload_blob(
        self,
        reference: Reference,
        digest: str,
        source: Callable[[], FilePart],
        watch: Watch = _UNWATCHED,
        *,
        mount_from: str = "",
        piece: int = 0,
    ) -> int | None:
        """Brings a blob, known not to be there, into the reference's repository.

        `source` gives its content, and isn't asked when it can be mounted. Returns how many bytes had to be
        sent, which are fewer when an upload was gone on with; None for a mount.
        """
        with unfinished.place(self._remembering, reference, digest) as place:
            upload = push.Upload(self._session, reference, digest, piece, place)
            if mount_from not in ("", reference.repository) and upload.mount(mount_from, watch):
                return None
            return upload.run(source(), watch)

    def current(
        self, reference: Reference, watch: Watch = _UNWATCHED, *, pushes: bool = False
    ) -> Descriptor | None:
        """What a reference means now, None when it means nothing. With `pushes`, asked as a push would."""
        return pull.current(self._session, reference, watch, pushes=pushes)

    def tags(self, reference: Reference, watch: Watch = _UNWATCHED) -> list[str]:
        """Every tag of the reference's repository, asked as a push would; none if there is no repository."""
        return pull.tags(self._session, reference, watch)

    def referrers(
        self, reference: Reference, digest: str, watch: Watch = _UNWATCHED
    ) -> list[Descriptor] | None:
        """What refers to this manifest in the reference's repository; None where a registry has no list."""
        return referrers.listed(self._session, reference, digest, watch)

    def put_manifest(
        self, reference: Reference, name: str, media_type: str, data: bytes, watch: Watch = _UNWATCHED
    ) -> bool:
        """Puts a manifest into the reference's repository under a name, its digest or a tag. What it refers
        to must be there. Does the registry list it by itself with what it refers to?"""
        return push.manifest(self._session, push.manifest_call(reference, name, media_type, data), watch)

    def delete_tag(self, reference: Reference, watch: Watch = _UNWATCHED) -> None:
        """Removes a tag. Raises RegistryError where a registry doesn't do that."""
        push.delete_tag(self._session, reference, watch)

    def push_manifest(
        self, reference: Reference, media_type: str, data: bytes, watch: Watch = _UNWATCHED, *, tag: str = ""
    ) -> str:
        """Puts a manifest into the reference's repository under its digest, and then under the tag if one
        is given. What it refers to must be there. Returns the digest."""
        digest = digests.of_bytes(data)
        for name in (digest, tag) if tag else (digest,):
            self.put_manifest(reference, name, media_type, data, watch)
        return digest
