"""The context of one stage as the engine wants it: a tar with its Dockerfile and the archive that it adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from imgbake_oci import ustar

_PIECE = 1 << 20


def context(
    dockerfile: str, archive: str, files: Path | None, each: Callable[[int, int], None]
) -> Iterator[bytes]:
    """The pieces of the tar. `each` is told how many bytes of how many were sent."""
    headers = ustar.Headers(0)
    text = dockerfile.encode()
    yield headers.header(b"Dockerfile", ustar.FILE, 0o644, 0, 0, len(text))
    yield text + ustar.padding(len(text))
    if files is not None:
        size = files.stat().st_size
        yield headers.header(archive.encode(), ustar.FILE, 0o644, 0, 0, size)
        sent = 0
        with files.open("rb") as content:
            while piece := content.read(_PIECE):
                yield piece
                sent += len(piece)
                each(sent, size)
        if padding := ustar.padding(size):
            yield padding
    yield ustar.END
