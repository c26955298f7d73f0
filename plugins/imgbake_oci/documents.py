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


class Config(msgspec.Struct, frozen=True):
    """What we need of an image's configuration.

    `whole` is the document as it came, without nulls; what the spec names in it has the type that the
    spec gives it.
    """

    whole: dict[str, Any]
    platform: Platform
    diff_ids: tuple[str, ...]


class _Rootfs(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...] = ()


class _Execution(msgspec.Struct, frozen=True, rename="pascal"):
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    exposed_ports: dict[str, Any] = {}
    volumes: dict[str, Any] = {}
    labels: dict[str, str] = {}


class _Config(msgspec.Struct, frozen=True):
    architecture: str
    os: str
    variant: str = ""
    rootfs: _Rootfs = _Rootfs()
    config: _Execution = _Execution()
    history: tuple[dict[str, Any], ...] = ()


def manifest_or_index(data: bytes, name: str) -> Manifest | Index:
    """What these bytes are. Raises BakeError when they are neither. `name` is of the image.

    A document that could be taken for both is refused: two readers would see two images.
    """
    fields = _fields(data, name)
    is_index = "manifests" in fields
    if is_index == ("layers" in fields or "config" in fields):
        raise BakeError(f"{name} is neither an image's manifest nor an index", hint="is it something else?")
    if (version := fields.get("schemaVersion")) != 2:
        hint = "pull it with a newer tool and push it again"
        raise BakeError(f"{name} has a manifest of version {version!r}, which nobody reads now", hint=hint)
    read = _index(fields, name) if is_index else _manifest(fields, name)
    if read.media_type not in (media_types.INDEXES if is_index else media_types.MANIFESTS):
        raise BakeError(f"{name} calls itself {read.media_type!r}, and is no such thing")
    return read


def config(data: bytes, manifest: Manifest, name: str) -> Config:
    """A configuration, checked against its manifest. Raises BakeError."""
    whole = _fields(data, name)
    read = _converted(whole, _Config, name)
    diff_ids = read.rootfs.diff_ids
    if len(diff_ids) != len(manifest.layers):
        counts = f"{len(diff_ids)} layers in its configuration, {len(manifest.layers)} in its manifest"
        raise BakeError(f"{name} contradicts itself: {counts}", hint="it was not made by a sound tool")
    for diff_id in diff_ids:
        _check_digest(diff_id, name)
    return Config(whole, Platform(read.architecture, read.os, read.variant), diff_ids)


def encoded(document: dict[str, Any]) -> bytes:
    """A document of ours as bytes, the same for the same content."""
    return msgspec.json.encode(document)


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as a part of a document."""
    return dict(msgspec.to_builtins(descriptor))


def _index(fields: dict[str, Any], name: str) -> Index:
    index = _converted(fields, Index, name)
    for manifest in index.manifests:
        _check(manifest, name)
    return index


def _manifest(fields: dict[str, Any], name: str) -> Manifest:
    manifest = _converted(fields, Manifest, name)
    if manifest.config.media_type not in media_types.CONFIGS:
        hint = "registries also keep charts, signatures and other artifacts: is the name right?"
        raise BakeError(f"{name} is no container image, but {manifest.config.media_type!r}", hint=hint)
    for each in (manifest.config, *manifest.layers):
        _check(each, name)
    return manifest


def _check(descriptor: Descriptor, name: str) -> None:
    _check_digest(descriptor.digest, name)
    if descriptor.size < 0:
        raise BakeError(f"{name} gives {descriptor.digest} a size of {descriptor.size} bytes")


def _check_digest(text: str, name: str) -> None:
    if not digest.is_digest(text):
        raise BakeError(f"{name} names its content by {text[:100]!r}, which is no sha256 digest")


def _fields(data: bytes, name: str) -> dict[str, Any]:
    """The document without nulls, which Go programs write for what is empty."""
    if len(data) > LARGEST:
        raise BakeError(f"{name}: a document of {len(data)} bytes is too large to be an image's")
    try:
        return _without_nulls(msgspec.json.decode(data, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BakeError(f"{name} is not an image that can be read: {error}") from None


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if value is not None
    }


def _converted(fields: dict[str, Any], type_: type[T], name: str) -> T:
    try:
        return msgspec.convert(fields, type_)
    except msgspec.ValidationError as error:
        raise BakeError(f"{name} is not an image as the image-spec has it: {error}") from None
