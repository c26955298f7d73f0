"""Pushing a baked image to its tags: content first to every repository, then manifests, tags last."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from imgbake.api import Artifact, BakeError, RunContext
from imgbake_oci import documents
from imgbake_oci.amazon import Registries, introduced
from imgbake_oci.documents import Index
from imgbake_oci.reference import Reference, parse_tag
from imgbake_oci.registry import Client, Watch

_AT_ONCE = 4  # blobs that are pushed at the same time


def push(artifact: Artifact, tags: Sequence[str], ctx: RunContext) -> tuple[str, ...]:
    """Pushes an image to each of its tags, and returns the references with its digest.

    No tag moves before every repository has all of the content. Raises BakeError.
    """
    if not tags:
        raise BakeError(
            f"{ctx.name} has no tags to push to",
            hint='write tags = ["registry.example.com/name:1"] on its target',
        )
    references = [parse_tag(tag) for tag in tags]
    manifests, content = _sorted(artifact, ctx)
    with Client() as client:
        reached = {each: introduced(each, client, ctx.shared(Registries)) for each in references}
        for there in {there.name: there for there in reached.values()}.values():
            _push_content(client, there, content, manifests, ctx)
        for reference, there in reached.items():
            media_type, data = manifests[artifact.digest]
            client.push_manifest(there, media_type, data, Watch(ctx.check), tag=there.tag)
            ctx.log(f"pushed {reference.familiar}")
    return tuple(f"{reference.familiar}@{artifact.digest}" for reference in references)


def _sorted(artifact: Artifact, ctx: RunContext) -> tuple[dict[str, tuple[str, bytes]], list[str]]:
    """The image's manifests by digest, the outermost last, and its other blobs."""
    data = ctx.blobs.path(artifact.digest).read_bytes()
    outer = documents.manifest_or_index(data, ctx.name)
    found: dict[str, tuple[str, bytes]] = {}
    if isinstance(outer, Index):
        for each in outer.manifests:
            found[each.digest] = (each.media_type, ctx.blobs.path(each.digest).read_bytes())
    found[artifact.digest] = (outer.media_type, data)
    return found, [digest for digest in artifact.blobs if digest not in found]


def _push_content(
    client: Client,
    reference: Reference,
    content: Sequence[str],
    manifests: dict[str, tuple[str, bytes]],
    ctx: RunContext,
) -> None:
    watch = Watch(ctx.check, ctx.progress)

    def push_one(digest: str) -> None:
        client.push_blob(reference, digest, ctx.blobs.path(digest), watch)

    with ThreadPoolExecutor(_AT_ONCE) as pool:  # by `map`, so that none is begun after one has failed
        list(pool.map(push_one, content))
    for media_type, data in manifests.values():
        client.push_manifest(reference, media_type, data, Watch(ctx.check))
