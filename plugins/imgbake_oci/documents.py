"""The JSON documents of an image, as they come from elsewhere: read with suspicion.

image-spec: manifest.md, image-index.md, config.md. Docker's older manifests have the same members.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from imgbake.api import BakeError, digest
from imgbake_oci import media_types
from imgbake_oci.descriptor import Descriptor, Platform

T = TypeVar("T")

LARGEST = 4 << 20  # bytes of a manifest (distribution-spec: registries take at least that)


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An image for one platform: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = media_types.MANIFEST
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """Images for several platforms, or the images of a layout."""

    manifests: tuple[Descriptor, ...]
    media_type: str = media_types.INDEX
    annotations: dict[str, str] = {}


class Rootfs(msgspec.Struct, frozen=True):
    """The layers by the digests of their uncompressed content."""

    diff_ids: tuple[str, ...] = ()


class Config(msgspec.Struct, frozen=True):
    """What we need of an image's configuration; `whole` is the document as it came."""

    whole: dict[str, Any]
    platform: Platform
    diff_ids: tuple[str, ...]


class _Config(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = "linux"
    variant: str = ""
    rootfs: Rootfs = Rootfs()


class _Any(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str = ""
    schema_version: int = 2
    manifests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def manifest_or_index(data: bytes, name: str) -> Manifest | Index:
    """What these bytes are. Raises BakeError when they are neither. `name` is of the image."""
    kind = _decoded(data, _Any, name)
    if kind.schema_version != 2:
        hint = "pull it with a newer tool and push it again"
        raise BakeError(
            f"{name} has a manifest of version {kind.schema_version}, which nobody reads now", hint=hint
        )
    if kind.manifests is not msgspec.UNSET:
        return _decoded(data, Index, name)
    return _decoded(data, Manifest, name)


def config(data: bytes, manifest: Manifest, name: str) -> Config:
    """A configuration, checked against its manifest. Raises BakeError."""
    read = _decoded(data, _Config, name)
    if len(read.rootfs.diff_ids) != len(manifest.layers):
        counts = (
            f"{len(read.rootfs.diff_ids)} layers in its configuration, {len(manifest.layers)} in its manifest"
        )
        raise BakeError(f"{name} contradicts itself: {counts}", hint="it was not made by a sound tool")
    for diff_id in read.rootfs.diff_ids:
        if not digest.is_digest(diff_id):
            raise BakeError(f"{name} names a layer by {diff_id!r}, which is no sha256 digest")
    platform = Platform(architecture=read.architecture, os=read.os, variant=read.variant)
    return Config(msgspec.json.decode(data), platform, read.rootfs.diff_ids)


def encoded(document: dict[str, Any]) -> bytes:
    """A document of ours as bytes, the same for the same content."""
    return msgspec.json.encode(document)


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as a part of a document."""
    return dict(msgspec.to_builtins(descriptor))


def _decoded(data: bytes, type_: type[T], name: str) -> T:
    if len(data) > LARGEST:
        raise BakeError(f"{name}: a document of {len(data)} bytes is too large to be an image's")
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.DecodeError as error:
        raise BakeError(f"{name} is not an image that can be read: {error}") from None
