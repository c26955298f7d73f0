"""Images that are kept: a layout in the project, made of links to blobs in the store.

What several targets make of an image, and all that there is to know about whether it is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from imgbake.api import Artifact, Blobs, ResolveContext, RunContext
from imgbake.api import digest as digests
from imgbake_oci import layouts, media_types
from imgbake_oci.descriptor import Descriptor, Platform, platform
from imgbake_oci.documents import descriptor_document, encoded

TAG = "latest"
"""What a layout calls its image."""


def place(image: str, target: str) -> str:
    """Where a layout is if the recipe says nothing else, relative to the project."""
    return f".imgbake/images/{image}/{target}"


class Image(msgspec.Struct, frozen=True):
    """An image for one platform, all its blobs in the store."""

    manifest: Descriptor
    platform: Platform
    layers: tuple[Descriptor, ...]
    config: str  # a digest

    @property
    def blobs(self) -> tuple[str, ...]:
        """Everything that belongs to it."""
        layers = (layer.digest for layer in self.layers)
        return tuple(dict.fromkeys((self.manifest.digest, self.config, *layers)))


def keep(images: Sequence[Image], annotations: dict[str, str], folder: str, ctx: RunContext) -> Artifact:
    """Writes the layout of an image, or of an index over several platforms, which is annotated.

    `folder` is relative to the project.
    """
    root, needed = _root(images, annotations, ctx)
    layouts.write(ctx.root / folder, root, TAG, needed, ctx.blobs)
    facts = {
        "media_type": root.media_type,
        "size": root.size,
        "layout": folder,
        "platforms": [str(image.platform) for image in images],
        "layers": [layer.digest for layer in images[0].layers],
    }
    proof = tuple(f"{folder}/{file}" for file in layouts.files(needed))
    return Artifact("container", root.digest, f"oci:{folder}", facts, tuple(needed), proof)


def present(artifact: Artifact, ctx: ResolveContext) -> bool:
    """Is the layout whole, and in the store as well?"""
    folder = ctx.root / str(artifact.facts["layout"])
    try:
        (folder / "oci-layout").stat()
        if artifact.digest.encode() not in (folder / "index.json").read_bytes():
            return False
        return all(_is_linked(digest, layouts.blob(folder, digest), ctx.blobs) for digest in artifact.blobs)
    except (OSError, KeyError):
        return False


def restorable(artifact: Artifact, ctx: ResolveContext) -> bool:
    """Is every blob in the store, or in the layout?"""
    folder = ctx.root / str(artifact.facts["layout"])
    return all(
        _is_kept(digest, ctx.blobs) or _is_sound(layouts.blob(folder, digest), digest)
        for digest in artifact.blobs
    )


def restore(artifact: Artifact, ctx: RunContext) -> bool:
    """Gives the store what it has lost of the layout, and makes the layout whole from the store."""
    facts = artifact.facts
    folder = ctx.root / facts["layout"]
    for digest in artifact.blobs:
        ctx.check()
        kept = layouts.blob(folder, digest)
        if not _is_kept(digest, ctx.blobs) and not (
            _is_sound(kept, digest) and ctx.blobs.add_file(kept) == digest
        ):
            return False
    platforms = [platform(text) for text in facts["platforms"]]
    of_root = platforms[0] if facts["media_type"] == media_types.MANIFEST else None
    root = Descriptor(facts["media_type"], artifact.digest, facts["size"], platform=of_root)
    layouts.write(folder, root, TAG, artifact.blobs, ctx.blobs)
    return True


def _root(
    images: Sequence[Image], annotations: dict[str, str], ctx: RunContext
) -> tuple[Descriptor, list[str]]:
    """The image's manifest, or the index over several, and every blob that belongs to it."""
    needed = dict.fromkeys(digest for image in images for digest in image.blobs)
    if len(images) == 1:
        return images[0].manifest, list(needed)
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.INDEX,
        "manifests": [descriptor_document(image.manifest) for image in images],
        "annotations": annotations,
    }
    data = encoded(document)
    root = Descriptor(media_types.INDEX, ctx.blobs.add_bytes(data), len(data))
    return root, [root.digest, *needed]


def _is_linked(digest: str, kept: Path, blobs: Blobs) -> bool:
    """Is a blob of a layout that of the store, or one with the same content?

    Raises OSError when the layout lacks it, KeyError when the store does.
    """
    return kept.samefile(blobs.path(digest)) or digests.of_file(kept) == digest


def _is_kept(digest: str, blobs: Blobs) -> bool:
    """Has the store this blob?"""
    try:
        blobs.path(digest)
    except KeyError:
        return False
    return True


def _is_sound(kept: Path, digest: str) -> bool:
    """Is this a file with this content?"""
    try:
        return digests.of_file(kept) == digest
    except OSError:
        return False
