"""What is worth knowing of a resolved base, read from its documents; no layer is brought here."""

from __future__ import annotations

from typing import Any

from imgbake.api import Artifact, BakeError, ResolveContext
from imgbake_oci import bases, documents, sources
from imgbake_oci.base_config import blob
from imgbake_oci.descriptor import Descriptor
from imgbake_oci.documents import Index, Manifest
from imgbake_oci.sources import Source

_CONFIG = ("Entrypoint", "Cmd", "Env", "User", "WorkingDir", "ExposedPorts", "Labels")


def read(base: Artifact, ctx: ResolveContext) -> dict[str, Any] | None:
    """Platforms, and of the image for this machine's, or else the first: size, age, and how it is run.

    None for an image in a form that tells only when it is fetched. Raises BakeError.
    """
    if sources.split(base.reference)[0] == "docker-archive":
        return None
    with sources.opened(base.reference, ctx) as source:
        outer = documents.manifest_or_index(source.manifest(base.digest), source.name)
        if isinstance(outer, Manifest):
            return {"media_type": outer.media_type, **_of_image(outer, source)}
        images = [each for each in outer.manifests if each.platform and each.platform.os != "unknown"]
        platforms = {str(each.platform): each.digest for each in images}
        found = {"media_type": outer.media_type, "platforms": platforms}
        inner = documents.manifest_or_index(source.manifest(_preferred(images, outer, source)), source.name)
        return {**_of_image(inner, source), **found} if isinstance(inner, Manifest) else found


def _preferred(images: list[Descriptor], index: Index, source: Source) -> str:
    from imgbake_oci.registry import choose

    try:
        return choose(images, bases.host(), source.name).digest
    except BakeError:
        if not index.manifests:
            raise
        return (images or index.manifests)[0].digest


def _of_image(manifest: Manifest, source: Source) -> dict[str, Any]:
    read = documents.config(blob(source, manifest.config), manifest, source.name)
    config = read.whole.get("config") or {}
    found: dict[str, Any] = {
        "platforms": [str(read.platform)],
        "size": manifest.config.size + sum(layer.size for layer in manifest.layers),
        "layers": len(manifest.layers),
        "config": {key: config[key] for key in _CONFIG if config.get(key)},
    }
    created = read.whole.get("created")
    return found | ({"created": created} if isinstance(created, str) else {})
