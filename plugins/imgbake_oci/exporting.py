"""Images as files: an OCI layout, the same as an archive, or what `docker load` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from imgbake.api import Artifact, BakeError, Blobs
from imgbake_oci import bases, documents, layouts
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import Manifest
from imgbake_oci.reference import HUB, Reference, parse


def export(artifact: Artifact, blobs: Blobs, to: Path, form: str, name: str, tags: Sequence[str]) -> None:
    """Writes an image to a path in a form: "oci", "oci-archive" or "docker-archive". Raises BakeError."""
    root = Descriptor(str(artifact.facts["media_type"]), artifact.digest, int(artifact.facts["size"]))
    if form == "oci":
        layouts.export_folder(to, root, "latest", artifact.blobs, blobs)
    elif form == "oci-archive":
        layouts.export_archive(to, root, "latest", artifact.blobs, blobs)
    else:
        _export_docker(artifact, blobs, to, name, tags)


def _export_docker(artifact: Artifact, blobs: Blobs, to: Path, name: str, tags: Sequence[str]) -> None:
    """A layout with a manifest.json beside it, which docker has read for as long as it has loaded images.

    It can only name one platform: this machine's, or else the first. An engine with containerd reads names in
    the layout's index.
    """
    descriptor, manifest = one_platform(artifact, blobs, name)
    layers = [layer.digest for layer in manifest.layers]
    names = [parse(tag) for tag in tags] or [Reference(HUB, f"library/{name.lower()}", "latest")]
    listing = [
        {
            "Config": _member(manifest.config.digest),
            "RepoTags": [f"{msgspec.structs.replace(each, tag='').familiar}:{each.tag}" for each in names],
            "Layers": [_member(digest) for digest in layers],
        }
    ]
    needed = list(dict.fromkeys((descriptor.digest, manifest.config.digest, *layers)))
    index = layouts.index(descriptor, "latest", names)
    extra = {"index.json": index, "manifest.json": msgspec.json.encode(listing)}
    layouts.export_archive(to, descriptor, "latest", needed, blobs, extra)


def one_platform(artifact: Artifact, blobs: Blobs, name: str) -> tuple[Descriptor, Manifest]:
    """The image of an artifact for this machine, or else its first. Raises BakeError."""
    digest, size = artifact.digest, int(artifact.facts["size"])
    read = documents.manifest_or_index(blobs.path(digest).read_bytes(), name)
    if isinstance(read, Manifest):
        return Descriptor(read.media_type, digest, size), read
    host = bases.host()
    fitting = [
        each
        for each in read.manifests
        if each.platform and (each.platform.os, each.platform.architecture) == (host.os, host.architecture)
    ]
    chosen = (fitting or list(read.manifests))[0]
    inner = documents.manifest_or_index(blobs.path(chosen.digest).read_bytes(), name)
    if not isinstance(inner, Manifest):
        raise BakeError(f"{name}: an index inside an index can't be exported for docker")
    return chosen, inner


def _member(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
