"""What a layout lists, and how that changes: index.json as a value (image-layout.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from imgbake_oci import documents, media_types
from imgbake_oci.descriptor import Descriptor

if TYPE_CHECKING:  # all of HTTP and TLS, which reading a recipe doesn't need
    from imgbake_copy.content import Content

REF_NAME = "org.opencontainers.image.ref.name"
MARKER = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'

Listing = Sequence[Descriptor]


class _Typed(msgspec.Struct):
    media_type: str = msgspec.field(default=media_types.MANIFEST, name="mediaType")


def decoded(data: bytes, name: str) -> list[Descriptor]:
    """What an index.json lists. Raises BakeError for what is none."""
    read = documents.manifest_or_index(data, name)
    return list(read.manifests) if isinstance(read, documents.Index) else []


def encoded(listing: Listing) -> bytes:
    """The index.json that lists this."""
    document = {"schemaVersion": 2, "mediaType": media_types.INDEX}
    return documents.encoded({**document, "manifests": list(map(documents.descriptor_document, listing))})


def meaning(listing: Listing, tag: str) -> str:
    """The digest that a tag means, empty when there is none."""
    return next((each.digest for each in listing if each.annotations.get(REF_NAME) == tag), "")


def tagged(listing: Listing, tag: str, digest: str, manifest: bytes) -> list[Descriptor]:
    """The same with a tag that means this manifest."""
    media_type = msgspec.json.decode(manifest, type=_Typed).media_type
    named = Descriptor(media_type, digest, len(manifest), annotations={REF_NAME: tag})
    return [*untagged(listing, tag), named]


def untagged(listing: Listing, tag: str) -> list[Descriptor]:
    """The same without a tag."""
    return [each for each in listing if each.annotations.get(REF_NAME) != tag]


def lacking(listing: Listing, content: Content) -> list[Descriptor]:
    """What must be listed so that signatures are found: what refers to others, and cosign's tags."""
    listed = {(each.annotations.get(REF_NAME, ""), each.digest) for each in listing}
    wanted = [each.descriptor for each in content.referring if each.digest not in content.tags.values()]
    by_digest = {each.digest: each.descriptor for each in content.documents}
    for tag, digest in content.tags.items():
        wanted.append(msgspec.structs.replace(by_digest[digest], annotations={REF_NAME: tag}))
    return [each for each in wanted if (each.annotations.get(REF_NAME, ""), each.digest) not in listed]


def names(content: Content, tags: Sequence[str]) -> list[tuple[str, str]]:
    """All that must be listed of a published image: names, empty for none, and digests."""
    listed = [(each.annotations.get(REF_NAME, ""), each.digest) for each in lacking([], content)]
    return [*listed, *((tag, content.root.digest) for tag in tags)]
