"""What an image starts from: found and pinned when the plan is made, fetched when it is baked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from imgbake.api import Artifact, BakeError, Part, ResolveContext, Resolved, RunContext, digest
from imgbake_oci import compression, documents, media_types, sources, tarfiles
from imgbake_oci.compression import PIECE, Content, Damaged, Format
from imgbake_oci.descriptor import Descriptor, Platform
from imgbake_oci.docker_archive import DockerArchive
from imgbake_oci.documents import Config, Index, Manifest
from imgbake_oci.folders import Added, added_by
from imgbake_oci.reference import HUB, parse
from imgbake_oci.scratch import unfinished
from imgbake_oci.sources import Layout, LayoutArchive, Source

SCRATCH = "scratch"
_AT_ONCE = 4  # layers that are fetched at the same time
_UNSEEN = (401, 403, 404)  # what registries say of repositories that are not there
_UNREAD = ("docker-daemon", "containers-storage")  # transports of skopeo that need an engine


class Base(msgspec.Struct, frozen=True):
    """A base for one platform, its layers in the store. Without layers and configuration: scratch."""

    platform: Platform
    layers: tuple[Descriptor, ...] = ()
    config: Config | None = None


def resolve(reference: str, ctx: ResolveContext) -> Resolved:
    """Pins a base to a digest. Raises BakeError when it is not there."""
    if reference == SCRATCH:
        return Resolved(Artifact("container", reference=SCRATCH))
    transport, path, tag = sources.split(reference)
    if not transport:
        return _resolve_remote(reference, ctx)
    where = ctx.root / path
    if transport == "oci":
        layout = Layout(where, reference)
        found = layout.root(tag).digest
        return _local(reference, found, layout.index_path)
    if transport == "oci-archive":
        return _local(reference, LayoutArchive(where, reference).root(tag).digest, where)
    return _local(reference, DockerArchive(where, tag, reference).digest, where)


def fetch(base: Artifact, platform: Platform | None, format: Format, ctx: RunContext) -> Base:
    """Brings a base for a platform into the store; without one, what the base offers here.

    Raises BakeError for a base that lacks the platform, or that contradicts itself.
    """
    if base.reference == SCRATCH:
        return Base(platform or host())
    transport, path, tag = sources.split(base.reference)
    if transport == "docker-archive":
        archive = DockerArchive(ctx.root / path, tag, base.reference)
        if archive.digest != base.digest:
            raise BakeError(f"{base.reference} changed while it was used", hint="build again")
        config, layers = archive.fetch(format, ctx)
        return Base(_checked(config.platform, platform, base.reference), layers, config)
    with sources.opened(base.reference, ctx, ctx.progress) as source:
        return _fetch(source, base.digest, platform, ctx)


def digest_for(base: Artifact, platform: Platform, ctx: RunContext) -> str:
    """The digest of a base's manifest for a platform: the base's own, unless that is of an index.

    Raises BakeError for an index that lacks the platform.
    """
    with sources.opened(base.reference, ctx, ctx.progress) as source:
        read = documents.manifest_or_index(_kept(source, base.digest, ctx), source.name)
        if isinstance(read, Manifest):
            return base.digest
        from imgbake_oci.registry import choose

        return choose(read.manifests, platform, source.name).digest


def folders(base: Base, ctx: RunContext) -> Iterator[Added]:
    """What each layer of a base says of folders, the lowest first. Each layer is read once for all.

    Raises BakeError for a layer that is damaged, or not the one that the configuration speaks of.
    """
    diff_ids = base.config.diff_ids if base.config else ()
    for layer, diff_id in zip(base.layers, diff_ids, strict=True):
        yield layer_folders(layer, diff_id, ctx)


def host() -> Platform:
    """The platform that images are for when nobody says: linux on this machine's processor."""
    from platform import machine

    from imgbake_oci.descriptor import platform

    return platform(f"linux/{machine() or 'amd64'}")


def _local(reference: str, found: str, proof: Path) -> Resolved:
    return Resolved(Artifact("container", found, reference), local=(str(proof),))


def _resolve_remote(reference: str, ctx: ResolveContext) -> Resolved:
    transport = reference.partition(":")[0]
    if transport in _UNREAD:
        hint = f"`skopeo copy {reference} oci:DIR:TAG` makes a layout of it, which can be"
        raise BakeError(f"{reference}: what is in {transport} can't be read", hint=hint)
    name = parse(reference)
    pinned = name.digest or ctx.pinned("bases", reference) or ""
    if pinned:
        if not digest.is_digest(pinned):
            hint = "`imgbake lock --upgrade` writes it anew"
            raise BakeError(f"imgbake.lock pins {reference} to {pinned!r}, which is no digest", hint=hint)
        return Resolved(Artifact("container", pinned, reference))
    from imgbake_oci.amazon import Registries, introduced
    from imgbake_oci.registry import Client, RegistryError, Watch

    with Client() as client:
        there = introduced(name, client, ctx.shared(Registries))
        try:
            found = client.resolve(there, Watch(ctx.check)).digest
        except RegistryError as error:
            if name.registry == HUB and error.status in _UNSEEN:
                error.hint += "; if only a docker engine has it: push it, or `docker save` it and take "
                error.hint += "it as docker-archive:FILE"
            raise
    return Resolved(Artifact("container", found, reference), volatile=True)


def _fetch(source: Source, wanted: str, platform: Platform | None, ctx: RunContext) -> Base:
    manifest, offered = _manifest(source, wanted, platform, ctx)
    data = _document(source, manifest.config, ctx)
    config = documents.config(data, manifest, source.name)
    _checked(offered or config.platform, platform, source.name)
    layers = tuple(
        msgspec.structs.replace(layer, media_type=media_types.as_oci(layer.media_type))
        for layer in manifest.layers
    )
    for layer in layers:
        if layer.media_type not in media_types.LAYERS:
            hint = "foreign and encrypted layers can't be built on"
            raise BakeError(f"{source.name} has a layer of the type {layer.media_type}", hint=hint)
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # by `map`, so that none is begun after one has failed
        list(pool.map(lambda layer: _blob(source, layer, ctx), layers))
    return Base(offered or config.platform, layers, config)


def _manifest(
    source: Source, wanted: str, platform: Platform | None, ctx: RunContext
) -> tuple[Manifest, Platform | None]:
    """The manifest for the platform, and which one its index says that it is for."""
    read = documents.manifest_or_index(_kept(source, wanted, ctx), source.name)
    if isinstance(read, Manifest):
        return read, None
    from imgbake_oci.registry import choose

    chosen = choose(read.manifests, platform or host(), source.name)
    inner = documents.manifest_or_index(_kept(source, chosen.digest, ctx), source.name)
    if isinstance(inner, Index):
        raise BakeError(f"{source.name}: an index inside an index", hint="name the inner one by its digest")
    return inner, chosen.platform


def _kept(source: Source, wanted: str, ctx: RunContext) -> bytes:
    """A manifest or index, from now on in the store, so that a known base needs no registry."""
    try:
        return ctx.blobs.path(wanted).read_bytes()
    except KeyError:
        data = source.manifest(wanted)
        ctx.blobs.add_bytes(data)
        return data


def _document(source: Source, descriptor: Descriptor, ctx: RunContext) -> bytes:
    if descriptor.size > documents.LARGEST:
        raise BakeError(f"{source.name}: a configuration of {descriptor.size} bytes is too large")
    _blob(source, descriptor, ctx)
    return ctx.blobs.path(descriptor.digest).read_bytes()


def _blob(source: Source, descriptor: Descriptor, ctx: RunContext) -> None:
    """Brings a blob into the store, unless it is there, or on its way for another image."""

    def fetch() -> Artifact:
        if not _is_there(descriptor.digest, ctx):
            _fetch_blob(source, descriptor, ctx)
        return Artifact("blob", descriptor.digest, blobs=(descriptor.digest,))

    if not _is_there(descriptor.digest, ctx):
        ctx.memo([Part("blob", descriptor.digest)], fetch)


def _is_there(wanted: str, ctx: RunContext) -> bool:
    try:
        ctx.blobs.path(wanted)
        return True
    except KeyError:
        return False


def _fetch_blob(source: Source, descriptor: Descriptor, ctx: RunContext) -> None:
    """Fetches a blob and verifies it."""
    ctx.check()
    with unfinished(ctx.blobs, "blob") as path:
        source.blob(descriptor, path)
        if path.stat().st_size != descriptor.size or digest.of_file(path) != descriptor.digest:
            hint = "it is damaged: make it again, or pull it again"
            raise BakeError(
                f"{source.name}: the content of {descriptor.digest} is not what it should be", hint=hint
            )
        ctx.blobs.adopt(path, descriptor.digest)


def _checked(offered: Platform, wanted: Platform | None, name: str) -> Platform:
    same = wanted is None or (offered.os, offered.architecture) == (wanted.os, wanted.architecture)
    if not same:
        hint = "name a base that is an index, or leave `platforms` out"
        raise BakeError(f"{name} is for {offered}, not for {wanted}", hint=hint)
    return offered


def layer_folders(layer: Descriptor, diff_id: str, ctx: RunContext) -> Added:
    """What a layer in the store says of folders. Raises BakeError when its content is not its diff id."""

    def scan() -> Artifact:
        added, found = _scan(layer, ctx)
        kept = ctx.blobs.add_bytes(msgspec.json.encode(added))
        return Artifact("folders", kept, facts={"diff_id": found}, blobs=(kept,))

    found = ctx.memo([Part("folders of layer", layer.digest)], scan)
    if found.facts["diff_id"] != diff_id:
        message = f"the base contradicts itself: its layer {layer.digest} is not {diff_id} when unpacked"
        raise BakeError(message, hint="it was not made by a sound tool")
    return msgspec.json.decode(ctx.blobs.path(found.digest).read_bytes(), type=Added)


def _scan(layer: Descriptor, ctx: RunContext) -> tuple[Added, str]:
    """What a layer says of folders, and the digest of its uncompressed content."""
    try:
        with ctx.blobs.path(layer.digest).open("rb") as file:
            start = file.read(8)
            file.seek(0)
            with compression.reader(file, compression.detect(start)) as content:
                hashed = _Hashed(content, ctx)
                added = added_by(tarfiles.members(tarfiles.Forward(hashed)))
                while hashed.read(PIECE):
                    pass
    except Damaged as error:
        message = f"the base's layer {layer.digest} is damaged: {error}"
        raise BakeError(message, hint="pull it again") from None
    return added, hashed.digest


class _Hashed:
    """A content whose digest is made while it is read."""

    def __init__(self, content: Content, ctx: RunContext) -> None:
        self._content = content
        self._ctx = ctx
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of what has been read."""
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, none at the end. Raises Damaged."""
        self._ctx.check()
        data = self._content.read(size)
        self._hash.update(data)
        return data
