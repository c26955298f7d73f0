"""Writing OCI layouts, as folders and as archives, and docker archives (image-layout.md)."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgbake.api import BakeError, Blobs, UsageError
from imgbake_oci import documents, ustar
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import descriptor_document, encoded

if TYPE_CHECKING:
    from imgbake_oci.reference import Reference

_REF_NAME = "org.opencontainers.image.ref.name"
_IMAGE_NAME = "io.containerd.image.name"  # by which engines with containerd load it
_MARKER = "oci-layout"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def write(folder: Path, root: Descriptor, tag: str, needed: Sequence[str], blobs: Blobs) -> None:
    """Makes a folder the layout of one image, which it names by a tag.

    Blobs come first and index.json last, by a rename, so whoever reads the layout meanwhile sees the
    old image or the new one, whole; what only the old one needed is removed at the end.
    """
    place = folder / "blobs" / "sha256"
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / _MARKER, _VERSION)  # first: it says that the folder is ours
    place.mkdir(parents=True, exist_ok=True)
    for digest in needed:
        _link(digest, place / _hex(digest), blobs)
    _replace(folder / "index.json", index(root, tag))
    wanted = {_hex(digest) for digest in needed}
    for path in place.iterdir():
        if path.name not in wanted:
            path.unlink(missing_ok=True)


def blob(folder: Path, digest: str) -> Path:
    """Where a layout has a blob."""
    return folder / "blobs" / "sha256" / _hex(digest)


def files(needed: Sequence[str]) -> tuple[str, ...]:
    """The files of a layout with these blobs, relative to its folder."""
    return ("index.json", _MARKER, *(f"blobs/sha256/{_hex(digest)}" for digest in needed))


def index(root: Descriptor, tag: str, names: Sequence[Reference] = ()) -> bytes:
    """The index.json of a layout of one image, which bears a tag, or these names on an engine."""
    named = [{_REF_NAME: name.tag, _IMAGE_NAME: str(name)} for name in names] or [{_REF_NAME: tag}]
    document = descriptor_document(root)
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{**document, "annotations": {**root.annotations, **each}} for each in named],
        }
    )


def require_free(folder: Path) -> None:
    """Raises UsageError when there is something that is neither an empty folder nor a layout."""
    if not os.path.lexists(folder) or (folder / _MARKER).is_file():
        return
    unfinished = f".{_MARKER}."  # left by an interrupted build
    if not folder.is_dir() or any(not path.name.startswith(unfinished) for path in folder.iterdir()):
        hint = "choose another path, or remove it"
        raise UsageError(f"{folder} is there, and is no OCI layout", hint=hint)


def export_folder(to: Path, root: Descriptor, tag: str, needed: Sequence[str], blobs: Blobs) -> None:
    """Writes a layout to a path where there is none yet, or another of one image. Whole, or not at all."""
    require_free(to)
    if _count_images(to) > 1:
        hint = "choose another path; `skopeo copy` puts an image beside others"
        raise UsageError(f"{to} is a layout of several images, which would be lost", hint=hint)
    to = to.resolve()  # a link to a folder stays a link
    beside = to.with_name(f".{to.name}.{os.urandom(4).hex()}")
    try:
        write(beside, root, tag, needed, blobs)
        if not to.exists():
            beside.rename(to)
        elif not _exchanged(beside, to):
            old = to.with_name(f".{to.name}.{os.urandom(4).hex()}.old")
            to.rename(old)
            beside.rename(to)
            shutil.rmtree(old)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Lets two folders take each other's place, so that none is absent meanwhile; False where that can't be.

    Not every C library, nor every file system, has it.
    """
    import ctypes

    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = (_HERE, os.fsencode(one), _HERE, os.fsencode(other))
    return exchange is not None and exchange(*paths, _EXCHANGE) == 0


def export_archive(
    to: Path,
    root: Descriptor,
    tag: str,
    needed: Sequence[str],
    blobs: Blobs,
    extra: dict[str, bytes] | None = None,
) -> None:
    """Writes a layout as a tar file, for one image the same bytes; `extra` files come last, or instead."""
    headers = ustar.Headers(0)
    with _whole(to) as path, path.open("xb") as out:
        for folder in (b"blobs/", b"blobs/sha256/"):
            out.write(headers.header(folder, ustar.FOLDER, 0o755, 0, 0))
        for digest in sorted(needed):
            source = _stored(digest, blobs)
            name = f"blobs/sha256/{_hex(digest)}".encode()
            size = source.stat().st_size
            out.write(headers.header(name, ustar.FILE, 0o644, 0, 0, size))
            with source.open("rb") as content:
                shutil.copyfileobj(content, out, 1 << 20)
            out.write(ustar.padding(size))
        files = {"index.json": index(root, tag), _MARKER: _VERSION, **(extra or {})}
        for file, data in files.items():
            out.write(headers.header(file.encode(), ustar.FILE, 0o644, 0, 0, len(data)))
            out.write(data + ustar.padding(len(data)))
        out.write(ustar.END)


@contextlib.contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """A path beside `to` that takes its place when all went well."""
    if to.is_dir():
        raise UsageError(f"{to} is a folder", hint="an archive is a file: choose another path")
    beside = to.with_name(f".{to.name}.{os.urandom(4).hex()}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)


def _count_images(folder: Path) -> int:
    """How many images a layout names; 0 where there is none that can be read."""
    with contextlib.suppress(OSError, BakeError):
        read = documents.manifest_or_index((folder / "index.json").read_bytes(), str(folder))
        return len(read.manifests) if isinstance(read, documents.Index) else 0
    return 0


def _link(digest: str, to: Path, blobs: Blobs) -> None:
    source = _stored(digest, blobs)
    with contextlib.suppress(OSError):
        if source.samefile(to):
            return
    blobs.link(digest, to)


def _replace(path: Path, data: bytes) -> None:
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    beside.write_bytes(data)
    beside.replace(path)


def _stored(digest: str, blobs: Blobs) -> Path:
    try:
        return blobs.path(digest)
    except KeyError:
        raise BakeError(f"the store has lost {digest}", hint="build the image again") from None


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
