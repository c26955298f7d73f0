"""The folders of an image on the engine, which decide where and how a component's files are put.

What an archive of files says of /tmp or /bin must be what the image below says of it, or it would take
away a sticky bit, or replace a symlink. The engine exports an image's tree as one tar; it is read once
for each image, and what it says of folders is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from imgbake.api import Artifact, Part, RunContext
from imgbake_docker import throwaway
from imgbake_docker.engine import Client
from imgbake_docker.following import each
from imgbake_oci import tarfiles
from imgbake_oci.folders import Added, Folders, added_by
from imgbake_oci.layers import Made

_FORMAT = 1  # moved when the same image comes to give other folders


class Below:
    """The folders below the stage that is to be built. Looked at only when somebody asks."""

    def __init__(self, client: Client, ctx: RunContext) -> None:
        self._client, self._ctx = client, ctx
        self._known: Folders | None = None

    def of(self, image: str) -> Folders:
        """The folders of this image, empty for scratch."""
        if self._known is None:
            self._known = Folders()
            if image:
                self._known.add(_added(self._client, image, self._ctx))
        return self._known

    def add(self, made: Made) -> None:
        """Puts the files of a component on top."""
        if self._known is not None:
            self._known.add(made.folders(self._ctx))

    def forget(self) -> None:
        """Commands have run: nobody knows what they did."""
        self._known = None


def _added(client: Client, image: str, ctx: RunContext) -> Added:
    def look() -> Artifact:
        data = msgspec.json.encode(_exported(client, image, ctx))
        digest = ctx.blobs.add_bytes(data)
        return Artifact("folders", digest, blobs=(digest,))

    made = ctx.memo([Part("folders of docker image", f"{_FORMAT} {image}")], look)
    return msgspec.json.decode(ctx.blobs.path(made.digest).read_bytes(), type=Added)


def _exported(client: Client, image: str, ctx: RunContext) -> Added:
    """By a container that is never started."""
    with throwaway.container(client, image, ctx, command=["-"], entrypoint=["-"]) as container:
        pieces = each(lambda: client.export(container), ctx)
        return added_by(tarfiles.members(tarfiles.Forward(_Pieces(pieces))))


class _Pieces:
    """Pieces of bytes as something that can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = memoryview(piece)
        found, self._left = self._left[:size], self._left[size:]
        return bytes(found)
