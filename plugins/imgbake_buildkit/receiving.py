"""An OCI layout that a builder wrote, moved into the store: every blob is verified on its way."""

from __future__ import annotations

from pathlib import Path

from imgbake.api import BakeError, RunContext, digest
from imgbake_oci import documents, layouts
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import Index, Manifest
from imgbake_oci.kept import Image
from imgbake_oci.sources import Layout


def received(folder: Path, ctx: RunContext) -> list[Image]:
    """The images of a layout, one for each platform, their blobs in the store. Raises BakeError."""
    layout = Layout(folder, ctx.name)
    root = layout.root("")
    outer = documents.manifest_or_index(layout.manifest(root.digest), ctx.name)
    found = outer.manifests if isinstance(outer, Index) else (root,)
    return [_image(layout, folder, each, ctx) for each in found]


def _image(layout: Layout, folder: Path, found: Descriptor, ctx: RunContext) -> Image:
    data = layout.manifest(found.digest)
    manifest = documents.manifest_or_index(data, ctx.name)
    assert isinstance(manifest, Manifest), "no builder puts an index into an index"
    for each in dict.fromkeys((manifest.config.digest, *(layer.digest for layer in manifest.layers))):
        _adopt(layouts.blob(folder, each), each, ctx)
    config = documents.config(ctx.blobs.path(manifest.config.digest).read_bytes(), manifest, ctx.name)
    kept = Descriptor(manifest.media_type, ctx.blobs.add_bytes(data), len(data), platform=config.platform)
    return Image(kept, config.platform, manifest.layers, manifest.config.digest)


def _adopt(path: Path, wanted: str, ctx: RunContext) -> None:
    ctx.check()
    if ctx.blobs.has(wanted) or not path.exists():  # of two platforms with one layer, the second finds it
        return
    if digest.of_file(path) != wanted:
        raise BakeError(f"the builder sent {wanted} damaged", hint="build again")
    ctx.blobs.adopt(path, wanted)
