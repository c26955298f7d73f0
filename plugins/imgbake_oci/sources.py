"""Where a base's content comes from: a layout, an archive, or a registry. All say the same two words."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from imgbake.api import BakeError, ResolveContext, RunContext, digest
from imgbake_oci import documents, tarfiles
from imgbake_oci.compression import Damaged
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.reference import Reference, parse

if TYPE_CHECKING:  # all of HTTP and TLS, which local bases don't need
    from imgbake_oci.amazon import Registries
    from imgbake_oci.registry import Client, Watch

Progress = Callable[[int, int], None]

_REF_NAME = "org.opencontainers.image.ref.name"


class Source(Protocol):
    """Gives the content of one image. `name` is how errors call it."""

    name: str

    def manifest(self, digest: str) -> bytes:
        """A manifest or index, verified. Raises BakeError."""

    def blob(self, descriptor: Descriptor, to: Path) -> None:
        """Writes a blob to a path. The caller verifies it. Raises BakeError."""


class Layout:
    """An OCI layout in a folder (image-layout.md)."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder

    @property
    def index_path(self) -> Path:
        """The file that names the images."""
        return self._folder / "index.json"

    def root(self, tag: str) -> Descriptor:
        """What the layout's index calls by this tag, or its only image. Raises BakeError."""
        try:
            data = self.index_path.read_bytes()
        except OSError as error:
            hint = "a layout has an index.json: is the path right, relative to the recipe's folder?"
            raise BakeError(f"{self.name} can't be read: {error.strerror}", hint=hint) from None
        return _tagged(data, tag, self.name)

    def index(self) -> documents.Index:
        """All that the layout names. Raises BakeError."""
        return _index(self.index_path.read_bytes(), self.name)

    def place(self, digest: str) -> tuple[Path, int, int]:
        """The file that holds a blob, where in it, and how many bytes. Raises BakeError."""
        path = self._path(digest)
        try:
            return path, 0, path.stat().st_size
        except OSError as error:
            raise self._absent(digest, error) from None

    def manifest(self, digest: str) -> bytes:
        return _verified(self._read(digest), digest, self.name)

    def blob(self, descriptor: Descriptor, to: Path) -> None:
        try:
            shutil.copyfile(self._path(descriptor.digest), to)
        except OSError as error:
            raise self._absent(descriptor.digest, error) from None

    def _read(self, digest: str) -> bytes:
        try:
            return self._path(digest).read_bytes()
        except OSError as error:
            raise self._absent(digest, error) from None

    def _path(self, wanted: str) -> Path:
        return self._folder / "blobs" / "sha256" / _hex(wanted, self.name)

    def _absent(self, digest: str, error: OSError) -> BakeError:
        return BakeError(f"{self.name} lacks its blob {digest}: {error.strerror}", hint="make it again")


class Archive:
    """A plain tar file, its members found once. What OCI archives and docker archives share."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path
        self._members = self._find()

    def read(self, member: str) -> bytes:
        """A small member's content. Raises BakeError."""
        with self._path.open("rb") as file:
            head = self._head(member)
            if head.size > documents.LARGEST:
                raise BakeError(f"{self.name}: {member} is too large for what it should be")
            file.seek(head.start)
            return file.read(head.size)

    def found(self, member: str) -> tuple[Path, int, int]:
        """The file that holds a member, where in it, and how many bytes. Raises BakeError."""
        head = self._head(member)
        return self._path, head.start, head.size

    def extract(self, member: str, to: Path) -> None:
        """Copies a member's content to a path. Raises BakeError."""
        with self._path.open("rb") as file, to.open("wb") as out:
            head = self._head(member)
            file.seek(head.start)
            _copy(file, out, head.size)

    def _head(self, member: str) -> tarfiles.Head:
        for _ in range(8):  # docker writes a layer that stands twice as a symlink to the first
            head = self._members.get(member)
            if head is None or head.kind != "symlink":
                break
            member = _joined(member, head.link)
        if head is None or head.kind != "file":
            raise BakeError(f"{self.name} lacks {member}", hint="it is damaged, or another kind of archive")
        return head

    def _find(self) -> dict[str, tarfiles.Head]:
        try:
            with self._path.open("rb") as file:
                stream = tarfiles.Seeking(file, self._path.stat().st_size)
                return {head.path.removeprefix("./"): head for head in tarfiles.members(stream)}
        except OSError as error:
            hint = "the path is relative to the recipe's folder"
            raise BakeError(f"{self.name} can't be read: {error.strerror}", hint=hint) from None
        except Damaged as error:
            hint = "it should be a plain tar file: decompress it, or write it again"
            raise BakeError(f"{self.name} is damaged: {error}", hint=hint) from None


class LayoutArchive(Archive):
    """An OCI layout in a tar file."""

    def root(self, tag: str) -> Descriptor:
        """What the layout's index calls by this tag, or its only image. Raises BakeError."""
        return _tagged(self.read("index.json"), tag, self.name)

    def index(self) -> documents.Index:
        """All that the layout names. Raises BakeError."""
        return _index(self.read("index.json"), self.name)

    def place(self, digest: str) -> tuple[Path, int, int]:
        """The file that holds a blob, where in it, and how many bytes. Raises BakeError."""
        return self.found(f"blobs/sha256/{_hex(digest, self.name)}")

    def manifest(self, digest: str) -> bytes:
        return _verified(self.read(f"blobs/sha256/{_hex(digest, self.name)}"), digest, self.name)

    def blob(self, descriptor: Descriptor, to: Path) -> None:
        self.extract(f"blobs/sha256/{_hex(descriptor.digest, self.name)}", to)


class Remote:
    """An image in a registry (distribution-spec)."""

    def __init__(self, client: Client, reference: Reference, watch: Watch, registries: Registries) -> None:
        self.name = reference.familiar
        self._named = reference
        self._client = client
        self._watch = watch
        self._registries = registries

    def manifest(self, digest: str) -> bytes:
        return self._client.manifest(self._reference, digest, self._watch)[1]

    def blob(self, descriptor: Descriptor, to: Path) -> None:
        self._client.blob(self._reference, descriptor, to, self._watch)

    @cached_property
    def _reference(self) -> Reference:
        """As it is reached, which may have to be asked: not where all of it is in the store."""
        from imgbake_oci.amazon import introduced

        return introduced(self._named, self._client, self._registries)


def split(reference: str) -> tuple[str, str, str]:
    """A base as transport ("oci", "oci-archive", "docker-archive", or "" for a registry), path, tag."""
    transport, colon, rest = reference.partition(":")
    if not colon or transport not in ("oci", "oci-archive", "docker-archive"):
        return "", reference, ""
    path, _, tag = rest.partition(":")
    return transport, path, tag


def is_remote(reference: str) -> bool:
    """Is this base in a registry?"""
    return not split(reference)[0]


@contextlib.contextmanager
def opened(
    reference: str, ctx: ResolveContext | RunContext, progress: Progress = lambda done, total: None
) -> Iterator[Source]:
    """The source that a base's reference names; docker archives are read by `docker_archive`."""
    transport, path, _ = split(reference)
    if transport == "oci":
        yield Layout(ctx.root / path, reference)
    elif transport == "oci-archive":
        yield LayoutArchive(ctx.root / path, reference)
    else:
        from imgbake_oci.amazon import Registries
        from imgbake_oci.registry import Client, Watch

        with Client() as client:
            yield Remote(client, parse(reference), Watch(ctx.check, progress), ctx.shared(Registries))


def _index(data: bytes, name: str) -> documents.Index:
    index = documents.manifest_or_index(data, name)
    if not isinstance(index, documents.Index):
        raise BakeError(f"{name}: index.json is not an index (image-layout.md)")
    return index


def _tagged(data: bytes, tag: str, name: str) -> Descriptor:
    index = _index(data, name)
    tags = {manifest.annotations.get(_REF_NAME, ""): manifest for manifest in index.manifests}
    if tag:
        if tag not in tags:
            there = ", ".join(filter(None, tags)) or "no tags"
            raise BakeError(f"{name}: no image is tagged '{tag}'", hint=f"there is {there}")
        return tags[tag]
    if len(index.manifests) == 1:
        return index.manifests[0]
    there = ", ".join(filter(None, tags)) or f"{len(index.manifests)} images without tags"
    raise BakeError(f"{name} has several images", hint=f"add :TAG; there is {there}")


def _verified(data: bytes, wanted: str, name: str) -> bytes:
    if digest.of_bytes(data) != wanted:
        raise BakeError(f"{name}: the content of {wanted} is not what it should be", hint="make it again")
    return data


def _hex(wanted: str, name: str) -> str:
    if not digest.is_digest(wanted):
        raise BakeError(f"{name} names its content by {wanted!r}, which is no sha256 digest")
    return wanted.removeprefix("sha256:")


def _joined(member: str, link: str) -> str:
    import posixpath

    return posixpath.normpath(posixpath.join(posixpath.dirname(member), link))


def _copy(file: IO[bytes], out: IO[bytes], size: int) -> None:
    while size:
        data = file.read(min(size, 1 << 20))
        if not data:
            raise BakeError("an archive ends too early", hint="it is damaged: write it again")
        out.write(data)
        size -= len(data)
