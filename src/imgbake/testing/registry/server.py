"""The registry that tests start: its server, its contents, its faults and its log."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Mapping, Sequence
from email.message import Message
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from imgbake import digest as digests
from imgbake.testing.registry import certificate
from imgbake.testing.registry.access import Access
from imgbake.testing.registry.contents import Contents, Manifest
from imgbake.testing.registry.faults import Fault, Faults
from imgbake.testing.registry.handler import Handler

_OCI = "application/vnd.oci.image"


class Seen(msgspec.Struct, frozen=True):
    """A request that came. `status` is what was answered, 0 when it broke off."""

    method: str
    target: str  # path and query
    headers: dict[str, str]  # names in lower case
    status: int


class Server(ThreadingHTTPServer):
    """The listening socket and what its connections share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, contents: Contents, access: Access) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = contents
        self.access = access
        self.faults = Faults()
        self.tls: ssl.SSLContext | None = None
        self.closing = threading.Event()
        self.log: list[Seen] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.accepted = 0
        self._connections: set[socket.socket] = set()

    def use_tls(self, cert: Path, key: Path) -> None:
        """Serves HTTPS. Handshakes happen in the connections' threads, so none can hold up another."""
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.socket = self.tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_port}"

    def saw(self, method: str, target: str, headers: Message, status: int) -> None:
        """Keeps a request in the log."""
        self.log.append(
            Seen(method, target, {name.lower(): value for name, value in headers.items()}, status)
        )

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection in a thread of its own."""
        self.accepted += 1
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of connections that a client ended or spoilt."""

    def stop(self) -> None:
        """Ends every connection and the server."""
        self.closing.set()
        self.shutdown()
        self.hang_up()
        self.server_close()

    def hang_up(self) -> None:
        """Ends every connection."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class Registry:
    """A registry on a free loopback port, for the time of a `with` block.

    `access` says who may do what (open by default); `tls` serves HTTPS with a certificate of its own,
    which `ca` names; `folder` keeps the blobs, else a temporary folder does. `referrers` has the referrers
    API, `deletes` the removal of tags, which a registry may lack.
    """

    def __init__(
        self,
        *,
        access: Access | None = None,
        tls: bool = False,
        folder: Path | None = None,
        referrers: bool = False,
        deletes: bool = False,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="registry-")
        self.access = access or Access()
        self.contents = Contents(folder or Path(self._temporary.name))
        self.contents.lists_referrers, self.contents.deletes_tags = referrers, deletes
        self._server = Server(self.contents, self.access)
        self.ca: Path | None = None
        if tls:
            self.ca, key = certificate.make(Path(self._temporary.name))
            self._server.use_tls(self.ca, key)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()
        self._temporary.cleanup()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self._server.url

    @property
    def host(self) -> str:
        """Host and port, as an image reference has them."""
        return self.url.partition("://")[2]

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings, to be changed by tests that want others."""
        return self._server.tls

    def name(self, image: str) -> str:
        """The full reference of an image here: `name("shop:1")` is "127.0.0.1:PORT/shop:1"."""
        return f"{self.host}/{image}"

    def fault(self, **fields: Any) -> None:
        """Lets the next requests that match go wrong; the keyword arguments are the fields of `Fault`."""
        self._server.faults.add(Fault(**fields))

    def heal(self) -> None:
        """Ends all faults."""
        self._server.faults.clear()

    def hang_up(self) -> None:
        """Closes every connection that clients keep open."""
        self._server.hang_up()

    @property
    def connections(self) -> int:
        """How many connections clients have made so far."""
        return self._server.accepted

    @property
    def requests(self) -> tuple[Seen, ...]:
        """Every request so far, in the order they were answered."""
        return tuple(self._server.log)

    def count(self, method: str = "", path: str = "") -> int:
        """How many requests of this method (any when empty) came whose path and query match."""
        return sum(
            method in ("", seen.method) and re.search(path, seen.target) is not None for seen in self.requests
        )

    def forget(self) -> None:
        """Empties the log."""
        self._server.log.clear()

    def add_blob(self, repository: str, data: bytes) -> str:
        """Puts a blob into a repository and returns its digest."""
        return self.contents.add_blob(repository, data)

    def add_manifest(self, image: str, data: bytes, media_type: str) -> str:
        """Puts a manifest, as it is, into `repository` or `repository:tag` and returns its digest."""
        repository, _, tag = image.partition(":")
        return self.contents.add_manifest(repository, Manifest(media_type, data), tag)

    def add_image(self, image: str, layers: Sequence[bytes] = (), platform: str = "linux/amd64") -> str:
        """Puts an image of these layers (each any bytes) into `repository[:tag]`; returns its digest."""
        repository = image.partition(":")[0]
        os, architecture, *_ = platform.split("/")
        rootfs = {"type": "layers", "diff_ids": [digests.of_bytes(layer) for layer in layers]}
        config = msgspec.json.encode({"os": os, "architecture": architecture, "config": {}, "rootfs": rootfs})
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._described(repository, config, f"{_OCI}.config.v1+json"),
            "layers": [self._described(repository, layer, f"{_OCI}.layer.v1.tar") for layer in layers],
        }
        return self.add_manifest(image, msgspec.json.encode(manifest), f"{_OCI}.manifest.v1+json")

    def add_index(self, image: str, images: Mapping[str, str]) -> str:
        """Puts an index into `repository:tag`, of images there: platform to digest. Returns its digest."""
        repository = self.contents.repository(image.partition(":")[0])
        manifests = []
        for platform, digest in images.items():
            os, architecture, *variant = platform.split("/")
            named = {"os": os, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
            manifest = repository.manifests[digest]
            descriptor = {"mediaType": manifest.media_type, "digest": digest, "size": len(manifest.data)}
            manifests.append({**descriptor, "platform": named})
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": manifests}
        return self.add_manifest(image, msgspec.json.encode(index), f"{_OCI}.index.v1+json")

    def add_referrer(self, repository: str, subject: str, data: bytes, artifact_type: str) -> str:
        """Puts an artifact that refers to a manifest there, such as a signature. Returns its digest."""
        there = self.contents.repository(repository).manifests[subject]
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "artifactType": artifact_type,
            "config": self._described(repository, b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [self._described(repository, data, artifact_type)],
            "subject": {"mediaType": there.media_type, "digest": subject, "size": len(there.data)},
        }
        return self.add_manifest(repository, msgspec.json.encode(manifest), f"{_OCI}.manifest.v1+json")

    def manifest(self, image: str) -> bytes | None:
        """The manifest that `repository:tag` or `repository@digest` names here, if there is one."""
        repository, _, reference = image.partition("@" if "@" in image else ":")
        found = self.contents.repository(repository).find(reference)
        return found[1].data if found else None

    def blob(self, digest: str) -> bytes:
        """The bytes of a blob. Raises FileNotFoundError when there is none."""
        return self.contents.blob(digest).read_bytes()

    def _described(self, repository: str, data: bytes, media_type: str) -> dict[str, str | int]:
        return {"mediaType": media_type, "digest": self.add_blob(repository, data), "size": len(data)}
