"""The folder that mksquashfs packs: contents only, for owners and permissions are in the pseudo file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from imgbake.api import RunContext, StepError
from imgbake_squashfs.listing import Node

_PIECE = 1 << 20


def stage(nodes: Sequence[Node], root: Path, generated: str, ctx: RunContext) -> None:
    """Copies the files of an image below `root`. Symlinks are made by mksquashfs.

    `generated` is the content of the one file that has no source. Raises StepError when a file
    changes meanwhile.
    """
    root.mkdir()
    files = [node for node in nodes if node.kind == "file"]
    for node in nodes:
        if node.kind == "dir":
            (root / node.path).mkdir()
    for done, node in enumerate(files, 1):
        ctx.check()
        if node.source:
            _copy(ctx.root / node.source, root / node.path, node)
        else:
            (root / node.path).write_text(generated)
        ctx.progress(done, len(files), "files")


def _copy(source: Path, target: Path, node: Node) -> None:
    """Copies a file, and makes sure that it is the one that the fingerprint speaks of."""
    content = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(_PIECE):
            content.update(piece)
            writing.write(piece)
    if f"sha256:{content.hexdigest()}" != node.digest:
        raise StepError(f"{node.source} changed while it was read", hint="build again")
