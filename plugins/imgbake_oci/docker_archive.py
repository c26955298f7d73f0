"""What `docker save` writes: manifest.json, configurations, and layers that may be plain or compressed.

An archive has no manifest, so its image is known by the digest of its configuration (docker's image
id), and becomes an OCI image when it is used: its layers compressed as ours are.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from imgbake.api import Artifact, BakeError, Part, RunContext, digest
from imgbake_oci import documents
from imgbake_oci.compression import Damaged, Format
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import Config, Manifest
from imgbake_oci.packing import repacked
from imgbake_oci.scratch import unfinished
from imgbake_oci.sources import Archive


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


class DockerArchive:
    """One image of a docker archive."""

    def __init__(self, path: Path, tag: str, name: str) -> None:
        self.name = name
        self._archive = Archive(path, name)
        self._image = self._choose(tag)
        self._config = self._archive.read(self._image.config)

    @property
    def digest(self) -> str:
        """The image id."""
        return digest.of_bytes(self._config)

    def fetch(self, format: Format, ctx: RunContext) -> tuple[Config, tuple[Descriptor, ...]]:
        """Its configuration, and its layers in the store. Raises BakeError for what contradicts itself."""
        stand_in = Descriptor("", "", 0)
        shape = Manifest(stand_in, (stand_in,) * len(self._image.layers))
        config = documents.config(self._config, shape, self.name)
        layers = [
            self._layer(member, diff_id, format, ctx)
            for member, diff_id in zip(self._image.layers, config.diff_ids, strict=True)
        ]
        return config, tuple(layers)

    def _choose(self, tag: str) -> _Image:
        try:
            images = msgspec.json.decode(self._archive.read("manifest.json"), type=tuple[_Image, ...])
        except msgspec.DecodeError as error:
            raise BakeError(f"{self.name}: manifest.json can't be read: {error}") from None
        fitting = [image for image in images if not tag or _is_called(image, tag)]
        if len(fitting) == 1:
            return fitting[0]
        there = (
            ", ".join(name for image in images for name in image.repo_tags or ()) or "images without names"
        )
        problem = f"has no image '{tag}'" if tag else f"has {len(images)} images"
        raise BakeError(f"{self.name} {problem}", hint=f"add :NAME:TAG; there is {there}")

    def _layer(self, member: str, diff_id: str, format: Format, ctx: RunContext) -> Descriptor:
        def compress() -> Artifact:
            return self._compress(member, diff_id, format, ctx)

        parts = [Part("docker archive layer", diff_id), Part("compression", str(format))]
        made = ctx.memo(parts, compress)
        return Descriptor(format.media_type, made.digest, int(made.facts["size"]))

    def _compress(self, member: str, diff_id: str, format: Format, ctx: RunContext) -> Artifact:
        plain = ctx.work / f"layer-{secrets.token_hex(8)}"
        try:
            self._archive.extract(member, plain)
            with unfinished(ctx.blobs, "layer") as packed:
                result = repacked(plain, packed, format, ctx.check)
                if result.diff_id != diff_id:
                    hint = "it is damaged: save it again"
                    raise BakeError(f"{self.name}: the layer {member} is not {diff_id}", hint=hint)
                ctx.blobs.adopt(packed, result.digest)
        except Damaged as error:
            raise BakeError(f"{self.name}: the layer {member} is damaged: {error}") from None
        finally:
            plain.unlink(missing_ok=True)
        return Artifact("layer", result.digest, facts={"size": result.size}, blobs=(result.digest,))


def _is_called(image: _Image, tag: str) -> bool:
    names = image.repo_tags or ()
    return tag in names or f"{tag}:latest" in names
