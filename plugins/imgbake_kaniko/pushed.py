"""What the registry has of an image that was pushed from the cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from imgbake.api import Artifact, BakeError, Blobs, ResolveContext
from imgbake_oci import documents, layouts
from imgbake_oci.amazon import Registries, introduced
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import Index
from imgbake_oci.reference import parse_tag
from imgbake_oci.registry import Client, RegistryError, Watch

_GONE = (404,)


def is_there(artifact: Artifact, ctx: ResolveContext) -> bool:
    """Do all tags mean this image? Raises BakeError when the registry can't be asked."""
    watch, issuing = Watch(ctx.check), ctx.shared(Registries)
    with Client() as client:
        try:
            named = (introduced(parse_tag(tag), client, issuing) for tag in artifact.facts["tags"])
            return all(client.resolve(tag, watch).digest == artifact.digest for tag in named)
        except RegistryError as error:
            if error.status in _GONE:
                return False
            raise BakeError(f"{error.message}", hint=error.hint) from None


def export(artifact: Artifact, blobs: Blobs, to: Path, form: str) -> None:
    """Writes an image to a path as "oci" or "oci-archive", by way of the store. Raises BakeError."""
    with Client() as client, tempfile.TemporaryDirectory(dir=blobs.scratch()) as work:
        reference = introduced(parse_tag(artifact.facts["tags"][0]), client, Registries())
        media_type, data = client.manifest(reference, artifact.digest)
        manifest = documents.manifest_or_index(data, reference.familiar)
        assert not isinstance(manifest, Index), "Kaniko pushes images for one platform"
        needed = [blobs.add_bytes(data)]
        for each in (manifest.config, *manifest.layers):
            if not blobs.has(each.digest):
                path = Path(work) / each.digest.replace(":", "-")
                client.blob(reference, each, path)
                blobs.adopt(path, each.digest)
            needed.append(each.digest)
    write = layouts.export_folder if form == "oci" else layouts.export_archive
    root = Descriptor(media_type, artifact.digest, len(data))
    write(to, root, "latest", list(dict.fromkeys(needed)), blobs)
