"""What an image of components stands on: how BuildKit comes by it, and what is known of its folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgbake.api import Artifact, Blueprint, RunContext
from imgbake_docker.lowering import BASE_USER, BASE_WORKDIR
from imgbake_docker.naming import SCRATCH, base_name
from imgbake_oci import bases, layouts, media_types, sources
from imgbake_oci.bases import Base
from imgbake_oci.compression import Format
from imgbake_oci.descriptor import Descriptor, Platform
from imgbake_oci.descriptor import platform as parsed
from imgbake_oci.documents import descriptor_document, encoded
from imgbake_oci.folders import Folders

FETCHED = Format("gzip", 1)
"""How layers are packed that are only for us: of bases, and of what nobody keeps."""


class Below:
    """The base of an image, for one platform."""

    def __init__(self, blueprint: Blueprint, platform: str, dockerfile: str, ctx: RunContext) -> None:
        self._blueprint, self._dockerfile, self._ctx = blueprint, dockerfile, ctx
        self._platform = parsed(platform) if platform else None
        self._base: Base | None = None
        self._folders: Folders | None = None

    def flags(self) -> Iterator[str]:
        """What BuildKit is told of it: where it is, if that is no registry; its user and folder."""
        if not sources.is_remote(self._blueprint.base.reference):
            folder = self._ctx.work / f"base-{self._platform or 'here'}".replace("/", "-")
            yield context(base_name(self._blueprint), layout(self._fetched(), folder, self._ctx), folder)
        given = {BASE_USER: ("User", ""), BASE_WORKDIR: ("WorkingDir", "/")}
        for name, (key, otherwise) in given.items():
            if f"ARG {name}" in self._dockerfile:
                yield f"--build-arg={name}={self._config().get(key) or otherwise}"

    def folders(self) -> Folders:
        """Its folders, and those of what was put on top since: whoever asks may add to them."""
        if self._folders is None:
            self._folders = Folders()
            for added in bases.folders(self._fetched(), self._ctx):
                self._folders.add(added)
        return self._folders

    def _config(self) -> dict[str, Any]:
        config = self._fetched().config
        found: dict[str, Any] = (config.whole.get("config") if config else None) or {}
        return found

    def _fetched(self) -> Base:
        if self._base is None:
            self._base = bases.fetch(self._blueprint.base, self._platform, FETCHED, self._ctx)
        return self._base


def layout(base: Base, folder: Path, ctx: RunContext) -> str:
    """Writes a layout of an image in the store, made of links, and returns its digest."""
    assert base.config is not None, f"{SCRATCH} has no layout"
    config = encoded(base.config.whole)
    described = Descriptor(media_types.CONFIG, ctx.blobs.add_bytes(config), len(config))
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.MANIFEST,
        "config": descriptor_document(described),
        "layers": [descriptor_document(layer) for layer in base.layers],
    }
    data = encoded(document)
    root = Descriptor(media_types.MANIFEST, ctx.blobs.add_bytes(data), len(data), platform=base.platform)
    needed = dict.fromkeys([root.digest, described.digest, *(layer.digest for layer in base.layers)])
    layouts.write(folder, root, "latest", list(needed), ctx.blobs)
    return root.digest


def context(name: str, digest: str, folder: Path) -> str:
    """The flag that makes BuildKit take an image of this name from a layout."""
    return f"--build-context={name}=oci-layout://{folder}@{digest}"


def finished(artifact: Artifact, platform: Platform | None, ctx: RunContext) -> Base:
    """A baked image as what another stands on."""
    return bases.fetch(artifact, platform, FETCHED, ctx)
