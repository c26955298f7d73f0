"""What a resolved base says of how it is run, without bringing any of its layers here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from imgbake.api import Artifact, BakeError, ResolveContext, digest
from imgbake_oci import bases, documents, sources
from imgbake_oci.descriptor import Descriptor, Platform, platform
from imgbake_oci.documents import Index, Manifest
from imgbake_oci.sources import Source


def read(base: Artifact, wanted: str, ctx: ResolveContext) -> dict[str, Any] | None:
    """The `config` of an image for a platform, this machine's when empty; nothing for scratch.

    None for an image in a form that tells only when it is fetched. Raises BakeError.
    """
    if base.reference == bases.SCRATCH:
        return {}
    if sources.split(base.reference)[0] == "docker-archive":
        return None
    found = platform(wanted) if wanted else bases.host()
    with sources.opened(base.reference, ctx) as source:
        manifest = _manifest(source, base.digest, found)
        whole = documents.config(blob(source, manifest.config), manifest, source.name).whole
    config: dict[str, Any] = whole.get("config") or {}
    return config


def _manifest(source: Source, wanted: str, found: Platform) -> Manifest:
    read = documents.manifest_or_index(source.manifest(wanted), source.name)
    if isinstance(read, Manifest):
        return read
    from imgbake_oci.registry import choose

    inner = documents.manifest_or_index(
        source.manifest(choose(read.manifests, found, source.name).digest), source.name
    )
    if isinstance(inner, Index):
        raise BakeError(f"{source.name}: an index inside an index", hint="name the inner one by its digest")
    return inner


def blob(source: Source, descriptor: Descriptor) -> bytes:
    """A small blob, verified. Raises BakeError."""
    if descriptor.size > documents.LARGEST:
        raise BakeError(f"{source.name}: a configuration of {descriptor.size} bytes is too large")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        source.blob(descriptor, path)
        data = path.read_bytes()
    if digest.of_bytes(data) != descriptor.digest:
        raise BakeError(f"{source.name}: its configuration is not what it should be", hint="pull it again")
    return data
