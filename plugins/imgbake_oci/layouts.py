"""Writing OCI layouts, as folders and as archives, and docker archives (image-layout.md)."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgbake.api import BakeError, Blobs, UsageError
from imgbake_oci import ustar
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import descriptor_document, encoded

_REF_NAME = "org.opencontainers.image.ref.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'


def write(folder: Path, root: Descriptor, tag: str, needed: Sequence[str], blobs: Blobs) -> None:
    """Makes a folder the layout of one image, which it names by a tag.

    Blobs come first and index.json last, by a rename, so whoever reads the layout meanwhile sees the
    old image or the new one, whole; what only the old one needed is removed at the end.
    """
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True, exist_ok=True)
    for digest in needed:
        _link(digest, place / _hex(digest), blobs)
    _replace(folder / "oci-layout", _VERSION)
    _replace(folder / "index.json", index(root, tag))
    wanted = {_hex(digest) for digest in needed}
    for path in place.iterdir():
        if path.name not in wanted:
            path.unlink(missing_ok=True)


def index(root: Descriptor, tag: str) -> bytes:
    """The index.json of a layout of one image."""
    document = descriptor_document(root)
    document["annotations"] = {**root.annotations, _REF_NAME: tag}
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [document],
        }
    )


def export_folder(to: Path, root: Descriptor, tag: str, needed: Sequence[str], blobs: Blobs) -> None:
    """Writes a layout to a path where there is none yet, or another layout. Whole, or not at all."""
    if to.exists() and not (to / "oci-layout").is_file() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"{to} is there, and is no OCI layout", hint="choose another path, or remove it")
    beside = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        write(beside, root, tag, needed, blobs)
        if to.exists():
            old = to.with_name(f".{to.name}.{secrets.token_hex(4)}.old")
            to.rename(old)
            beside.rename(to)
            shutil.rmtree(old)
        else:
            beside.rename(to)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def export_archive(
    to: Path,
    root: Descriptor,
    tag: str,
    needed: Sequence[str],
    blobs: Blobs,
    extra: dict[str, bytes] | None = None,
) -> None:
    """Writes a layout as a tar file, the same bytes for the same image; `extra` files come last."""
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
        files = {"index.json": index(root, tag), "oci-layout": _VERSION, **(extra or {})}
        for file, data in files.items():
            out.write(headers.header(file.encode(), ustar.FILE, 0o644, 0, 0, len(data)))
            out.write(data + ustar.padding(len(data)))
        out.write(ustar.END)


@contextlib.contextmanager
def _whole(to: Path) -> Iterator[Path]:
    """A path beside `to` that takes its place when all went well."""
    if to.is_dir():
        raise UsageError(f"{to} is a folder", hint="an archive is a file: choose another path")
    beside = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)


def _link(digest: str, to: Path, blobs: Blobs) -> None:
    source = _stored(digest, blobs)
    with contextlib.suppress(OSError):
        if source.samefile(to):
            return
    beside = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    blobs.link(digest, beside)
    beside.replace(to)


def _replace(path: Path, data: bytes) -> None:
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    beside.write_bytes(data)
    beside.replace(path)


def _stored(digest: str, blobs: Blobs) -> Path:
    try:
        return blobs.path(digest)
    except KeyError:
        raise BakeError(f"the store has lost {digest}", hint="build the image again") from None


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
