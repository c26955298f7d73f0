"""Image streams in a repository of a registry, at `oci://REGISTRY/REPOSITORY`.

A registry has no conditional writes: who puts a tag puts it. Which of two writers is the first, they
decide among themselves, by tags that say what each is about to do.

    shelf        documents as manifests; the newest version that was decided
    election     one manifest for each version, whoever asks, and whenever one of them dies
    marks        what the tags say
    tags         a registry's repository, as the others see it
"""

from __future__ import annotations

from imgbake.api import Shelf, hookimpl


@hookimpl
def imgbake_shelves() -> list[type[Shelf]]:
    """Streams in a registry."""
    from imgbake_oci.streams.shelf import RegistryShelf

    return [RegistryShelf]
